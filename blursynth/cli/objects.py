"""`blursynth objects`."""

from typing import Any

import click

from blursynth.cli import camera, options


@click.command("objects")
@click.argument("photos", metavar="PHOTOS")
@click.option(
    "--masks",
    required=True,
    metavar="PATH",
    help="COCO instances (polygons, RLE) or panoptic JSON with its folder of PNGs beside it; a folder of such files; "
    "or a folder of YOLO's text files of polygons, one a photo. Names are compared with their folders.",
)
@click.option(
    "--masks-orientation",
    type=click.Choice(["upright", "stored"]),
    help="Whether masks lie over photos as they are seen, by their EXIF orientation, or over the pixels as they are "
    "stored. [default: what their size says; photos where it says nothing are left out]",
)
@options.photo_pairs
@click.option("--objects", type=int, default=3, show_default=True, help="From 1 to so many objects move in a pair.")
@click.option(
    "--object-path",
    type=click.Choice(["gaussian", "boracchi-foi"]),
    default="gaussian",
    show_default=True,
    help="How an object moves: smoothly, or on a random trajectory.",
)
@click.option(
    "--object-correlation",
    metavar="VALUE",
    help="Of a gaussian path, in exposures; 10 and more is nearly a straight line. [default: 0.5:3]",
)
@click.option("--object-motion", metavar="PX", help="How far an object comes by itself. [default: 5:40]")
@click.option("--spin", metavar="DEGREES", help="What the unit of its turning stands for. [default: 0:2]")
@click.option(
    "--least",
    type=float,
    default=0.005,
    show_default=True,
    metavar="SHARE",
    help="Objects that cover less of the crop's area stay still.",
)
@click.option(
    "--greatest", type=float, default=0.6, show_default=True, metavar="SHARE", help="So do those that would cover more."
)
@click.option("--grow", type=int, default=2, show_default=True, metavar="PX", help="Grow masks by so much.")
@click.option("--depth", metavar="METRES", help="Distance of the plane that the photo shows.")
@camera.motion
@options.making
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
    from blursynth.production import attempts, objects

    maker = attempts.patiently(lambda: objects.maker(photos, given, options.command_line()))
    options.make(maker, given, default=options.from_default(photos, "-objects"), unit="pairs", strict=given["strict"])
