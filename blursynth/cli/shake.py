"""`blursynth shake`."""

from typing import Any

import click

from blursynth.cli import camera, options


@click.command("shake")
@click.argument("photos", metavar="PHOTOS")
@options.photo_pairs
@click.option(
    "--depth",
    metavar="METRES|FOLDER",
    help="Distance of the plane that the photo shows, or a folder of depth maps: a 16-bit PNG or .npy for each photo.",
)
@click.option(
    "--depth-scale", type=float, metavar="METRES", help="Of 1 in a depth map. [default: 0.001 in a PNG, 1 in a .npy]"
)
@click.option(
    "--depth-orientation",
    type=click.Choice(["upright", "stored"]),
    help="Whether depth maps lie over photos as they are seen, by their EXIF orientation, or over the pixels as they "
    "are stored. [default: what their size says; photos where it says nothing are left out]",
)
@click.option(
    "--layers",
    type=int,
    help="With depth maps: planes. [default: as many as it takes for neighbours to part by less than half a pixel]",
)
@camera.motion
@options.making
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
    from blursynth.production import attempts, shake

    maker = attempts.patiently(lambda: shake.maker(photos, given, options.command_line()))
    options.make(maker, given, default=options.from_default(photos, "-shaken"), unit="pairs", strict=given["strict"])
