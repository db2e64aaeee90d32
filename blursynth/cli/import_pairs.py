"""`blursynth import`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("import")
@click.argument("layout", type=click.Choice(["gopro", "flat", "webdataset", "kohler", "lai"]))
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--transfer",
    type=click.Choice(["gamma2.2", "srgb", "linear", "unknown"]),
    help="How codes relate to light, where names do not say; linear: codes were averaged as they are.",
)
@click.option(
    "--blurred",
    metavar="NAME",
    help="Folder (anywhere on the way; or tar field) of blurred images; lai: kernel or gyro.",
)
@click.option("--sharp", metavar="NAME", help="Folder (anywhere on the way; or tar field) of sharp images.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Of all pairs, where names do not say.")
@click.option("--size", type=int, help="Side of square crops in px. Default: whole images, all of one size.")
@click.option("--per-pair", type=int, metavar="N", help="Random crops of each pair. [default: 1]")
@click.option("--partial", is_flag=True, help="Take a set that is not as it was published: a part of it, other sizes.")
@click.option("--strict", is_flag=True, help="Stop at the first file that cannot be used instead of leaving it out.")
@options.making
def command(layout: str, folder: str, **given: Any) -> None:
    """Pairs that are there already, in FOLDER, as a dataset: the same pixels, with digests, splits and light declared.

    \b
      gopro        SPLIT/SEQUENCE/{blur or blur_gamma, sharp}/NNNNNN.png: GOPRO_Large, or `blursynth export --to gopro`
      flat         SPLIT/{input, target}/NAME.png, other names and places of two folders (REDS, BSD, RealBlur, ...)
      webdataset   SPLIT-NNNNNN.tar with KEY.blur.png and KEY.sharp.png, or other fields
      kohler       Köhler et al. 2012: BlurryI_J.png and GroundTruthI_J_K.png; the middle K is the sharp image
      lai          Lai et al. 2016: KIND_NN.png with KIND_NN_kernel_KK.png or KIND_NN_gyro_GG.png

    Numbers and sizes of published sets are checked. Files without a partner, or with several, are left out and listed.
    Run the same command again to finish an interrupted dataset.

    \b
    Examples:
      blursynth import gopro GOPRO_Large/ --blurred blur_gamma
      blursynth import flat Datasets/GoPro/ --transfer linear --out mprnet.zarr
      blursynth import flat REDS/ --blurred train_blur --sharp train_sharp --transfer gamma2.2
      blursynth import webdataset tars/ --transfer srgb
      blursynth import kohler kohler/ --transfer unknown
      blursynth import lai cvpr16/ --blurred kernel --size 512
    """
    from blursynth.production import attempts, importing

    maker = attempts.patiently(lambda: importing.maker(layout, folder, given, options.command_line()))
    options.make(maker, given, default=options.from_default(folder, "-pairs"), unit="pairs", strict=given["strict"])
