"""`blursynth import`."""

from typing import Any

import click

from blursynth.cli import options
from blursynth.config import import_pairs


@click.command("import")
@click.argument("layout", type=click.Choice(import_pairs.LAYOUTS))
@click.argument("folder", metavar="FOLDER")
@options.of("import")
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
    options.run("import", [layout, folder], given)
