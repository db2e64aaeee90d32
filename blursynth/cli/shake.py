"""`blursynth shake`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("shake")
@click.argument("photos", metavar="PHOTOS")
@options.of("shake")
def command(photos: str, **given: Any) -> None:
    """Blurred/sharp pairs from PHOTOS (or scenes:N), blurred by a camera that turns and moves while it exposes.

    The photo is a plane before the camera, or several with --depth FOLDER, the near over the far. It is warped by the
    camera's pose at many moments of the exposure: so many that nothing moves by more than half a pixel between two.
    Their light is added up. The sharp image is the photo's crop, to the bit. Numbers that are drawn for each pair are
    given as VALUE, LOW:HIGH or A,B,C.

    \b
    Examples:
      blursynth shake photos/ --size 256 --per-photo 10 --out shaken.zarr
      blursynth shake photos/ --size 256 --motion 10:60 --readout 1
      blursynth shake photos/ --size 256 --preset lai
      blursynth shake photos/ --size 256 --depth maps/
      blursynth shake photos/ --gyro phone.csv --exposure 0.05:0.2 --size 512
    """
    options.run("shake", [photos], given)
