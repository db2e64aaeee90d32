"""`blursynth objects`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("objects")
@click.argument("photos", metavar="PHOTOS")
@options.of("objects")
def command(photos: str, **given: Any) -> None:
    """Blurred/sharp pairs from PHOTOS in which objects move by themselves while the camera moves.

    Every moment of the exposure lays the objects over the background, and the light of all moments is added up; the
    camera moves as with `blursynth shake` (--motion 0 holds it still). What objects uncover is continued from around
    them by OpenCV's inpainting. Photos without masks, and objects out of bounds, are left out and listed. The sharp
    image is the photo's crop, to the bit; each crop is laid around an object.

    \b
    Examples:
      blursynth objects photos/ --masks instances_val2017.json --size 256 --per-photo 10
      blursynth objects photos/ --masks panoptic_val2017.json --object-path boracchi-foi --object-motion 10:60
      blursynth objects photos/ --masks annotations/ --size 384 --motion 0
    """
    options.run("objects", [photos], given)
