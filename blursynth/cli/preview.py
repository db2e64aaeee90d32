"""`blursynth preview`."""

import pathlib

import click

from blursynth.cli import options


@click.command("preview")
@click.argument("dataset", metavar="DATASET")
@click.option("--out", "-o", help="PNG to write. Default: DATASET's name.")
@click.option("--count", type=click.IntRange(1, 1000), default=8, show_default=True, help="Items shown, spread evenly.")
@click.option("--cell", type=click.IntRange(32, 2048), default=192, show_default=True, help="Side of a cell in px.")
def command(dataset: str, out: str | None, count: int, cell: int) -> None:
    """A contact sheet of DATASET as PNG: sharp, blurred, kernel and path of some items.

    \b
    Examples:
      blursynth preview pairs.zarr
      blursynth preview trajectories.zarr --count 32 --out paths.png
    """
    from blursynth import errors
    from blursynth.report import preview
    from blursynth.sources import png
    from blursynth.storage import reader
    from blursynth.stores import store

    if out and not out.lower().endswith(".png"):
        raise errors.InputError(f"--out {out}: a sheet is a PNG file; give a name that ends in .png.")
    sheet = preview.sheet(reader.open(dataset), count, cell)
    target = out or pathlib.Path(options.from_default(dataset)).with_suffix(".png")
    store.write_file(target, png.encode(sheet))
    click.echo(f"{target}: {sheet.shape[1]}x{sheet.shape[0]} px")
