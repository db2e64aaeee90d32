"""`blursynth report`."""

import pathlib

import click

from blursynth.cli import options


@click.command("report")
@click.argument("dataset", metavar="DATASET")
@click.option("--out", "-o", help="HTML to write. Default: DATASET's name.")
@click.option("--count", type=click.IntRange(1, 200), default=8, show_default=True, help="Items shown, spread evenly.")
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000_000),
    default=4096,
    show_default=True,
    help="Kernels measured, about, of items spread evenly.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 10_000_000),
    default=256,
    show_default=True,
    help="Pairs whose images are compared, spread evenly.",
)
def command(dataset: str, out: str | None, count: int, sample: int, images: int) -> None:
    """What DATASET holds on one HTML page: a contact sheet, how path lengths, kernels and all columns are distributed,
    beside measured camera shakes, and where it comes from. The page needs no other file and no network.

    \b
    Examples:
      blursynth report pairs.zarr
      blursynth report pairs.zarr --count 16 --out about/pairs.html
    """
    from blursynth.report import page
    from blursynth.storage import reader
    from blursynth.stores import store

    text = page.page(reader.open(dataset), count, sample, images).encode()
    target = out or pathlib.Path(options.from_default(dataset)).with_suffix(".html")
    store.write_file(target, text)
    click.echo(f"{target}: {len(text) / 1e6:.1f} MB; open it in a browser.")
