"""`blursynth export`."""

import pathlib
from typing import Any

import click

from blursynth.cli import options


@click.command("export")
@click.argument("dataset", metavar="DATASET")
@click.argument("out", metavar="OUT")
@click.option("--to", type=click.Choice(["gopro", "flat", "webdataset"]), required=True, help="The layout.")
@click.option(
    "--blurred-as",
    type=click.Choice(["blur", "blur_gamma"]),
    help="gopro: folder of the blurred images. [default: by the transfer function: gamma2.2 blur_gamma, linear blur]",
)
@click.option("--pairs-per-tar", type=click.IntRange(1), help="webdataset. [default: 128 MiB of pixels, or a 16th]")
@click.option("--workers", type=click.IntRange(1, 4096), help="Threads. Default: the processors there are.")
@click.option("--overwrite", is_flag=True, help="Replace an export that is there (asks first).")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def command(dataset: str, out: str, to: str, **given: Any) -> None:
    """The pairs of DATASET as files that other tools read, below OUT. PNG, lossless.

    \b
      gopro        SPLIT/SEQUENCE/{blur or blur_gamma, sharp}/NNNNNN.png, as GOPRO_Large is
      flat         SPLIT/{input, target}/NNNNNN.png, as MPRNet, Restormer and NAFNet (BasicSR) read it
      webdataset   SPLIT-NNNNNN.tar with KEY.blur.png, KEY.sharp.png, KEY.json

    blursynth.json says how the pairs were made, pairs.csv what each one is, digests.csv the bytes of each file. Run the
    same command again to go on after a stop: files that have other bytes by then are written again.

    \b
    Examples:
      blursynth export pairs.zarr pairs/ --to flat
      blursynth export clips.zarr GOPRO_like/ --to gopro
      blursynth export pairs.zarr tars/ --to webdataset --pairs-per-tar 1000
    """
    from blursynth.layouts import export

    options.confirm_overwrite(out, given["overwrite"], given["yes"])
    outcome = export.export(
        dataset,
        out,
        to,
        blurred_as=given["blurred_as"],
        pairs_per_tar=given["pairs_per_tar"],
        workers=given["workers"],
        overwrite=given["overwrite"],
        progress=options.progress(pathlib.Path(out).name, "pairs", given["quiet"]),
    )
    counts = ", ".join(f"{split} {count}" for split, count in outcome.splits.items())
    rate = outcome.written / max(outcome.seconds, 1e-9)
    kept = outcome.pairs - outcome.written
    there = f"; {kept} were there" if kept else ""
    if outcome.changed:
        shown = ", ".join(outcome.changed[:10]) + (" and more" if len(outcome.changed) > 10 else "")
        click.echo(f"Damaged or changed files, written again ({len(outcome.changed)}): {shown}")
    click.echo(f"{out}: {outcome.written} pairs in {outcome.seconds:.1f} s ({rate:.0f}/s){there}. {counts}")
