"""`blursynth shake`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("shake")
@click.argument("photos", metavar="PHOTOS")
@options.photo_pairs
@click.option(
    "--preset",
    type=click.Choice(["handheld", "lai"]),
    default="handheld",
    show_default=True,
    help="handheld: a hand's slow sway. lai: Lai et al. 2016, rotation only, codes taken for light.",
)
@click.option(
    "--path",
    type=click.Choice(["gaussian", "boracchi-foi"]),
    help="How each axis moves. [default: the preset's]",
)
@click.option("--correlation", metavar="VALUE", help="Of a gaussian path, in exposures: how slowly it changes.")
@click.option("--rotation", metavar="DEGREES", help="Pitch and yaw: what the unit of a path stands for.")
@click.option("--roll", metavar="DEGREES", help="The same about the optical axis.")
@click.option("--translation", metavar="METRES", help="The same sideways.")
@click.option("--forward", metavar="METRES", help="The same along the optical axis.")
@click.option(
    "--depth",
    metavar="METRES|FOLDER",
    help="Distance of the plane that the photo shows, or a folder of depth maps: a 16-bit PNG or .npy for each photo.",
)
@click.option(
    "--depth-scale", type=float, metavar="METRES", help="Of 1 in a depth map. [default: 0.001 in a PNG, 1 in a .npy]"
)
@click.option(
    "--layers",
    type=int,
    help="With depth maps: planes. [default: as many as it takes for neighbours to part by less than half a pixel]",
)
@click.option("--motion", metavar="PX", help="Scale each path until the crop's fastest point travels this far.")
@click.option("--field-of-view", type=float, metavar="DEGREES", help="Along the photo's longer side.")
@click.option("--focal", type=float, metavar="PX", help="Focal length in px of the photo, instead.")
@click.option("--gyro", metavar="FILE", help="A recorded path: lines of seconds and three rates in rad/s (x, y, z).")
@click.option("--exposure", metavar="SECONDS", help="With --gyro: how much of the recording is one exposure.")
@click.option(
    "--gyro-scale", type=float, metavar="FACTOR", help="With --gyro: factor on its angles. [default: 1; lai 0.5]"
)
@click.option(
    "--target",
    type=click.Choice(["middle", "first"]),
    default="middle",
    show_default=True,
    help="The sharp image: the view in the middle of the exposure, or at its beginning.",
)
@click.option(
    "--readout",
    type=float,
    default=0.0,
    show_default=True,
    metavar="EXPOSURES",
    help="Rolling shutter: time from the first row's start to the last row's.",
)
@click.option("--knots", type=int, default=256, show_default=True, help="Poses that a path is kept as.")
@click.option("--no-path", is_flag=True, help="Do not store each pair's camera path.")
@options.making
def command(photos: str, **given: Any) -> None:
    """Blurred/sharp pairs from PHOTOS (or scenes:N), blurred by a camera that turns and moves while it exposes.

    The photo is a plane before the camera, or several with --depth FOLDER, the near over the far. It is warped by the
    camera's pose at many moments of the exposure: so many that nothing moves by more than half a pixel between two.
    Their light is added up. The sharp image is the photo's crop,
    to the bit. Numbers that are drawn for each pair are given as VALUE, LOW:HIGH or A,B,C.

    \b
    Examples:
      blursynth shake photos/ --size 256 --per-photo 10 --out shaken.zarr
      blursynth shake photos/ --size 256 --motion 10:60 --readout 1
      blursynth shake photos/ --size 256 --preset lai
      blursynth shake photos/ --size 256 --depth maps/
      blursynth shake photos/ --gyro phone.csv --exposure 0.05:0.2 --size 512
    """
    from blursynth.production import shake

    maker = shake.maker(photos, given, options.command_line())
    options.make(maker, given, default=options.from_default(photos, "-shaken"), unit="pairs", strict=given["strict"])
