"""Options of the commands whose camera moves."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from blursynth.cli import options

Command = TypeVar("Command", bound=Callable[..., Any])


def motion(command: Command) -> Command:
    """How the camera moves and through which lens it looks; all but the depth of what it sees."""
    shared = [
        click.option(
            "--preset",
            type=click.Choice(["handheld", "lai"]),
            default="handheld",
            show_default=True,
            help="handheld: a hand's slow sway. lai: Lai et al. 2016, rotation only, codes taken for light.",
        ),
        click.option(
            "--path",
            type=click.Choice(["gaussian", "boracchi-foi"]),
            help="How each axis moves. [default: the preset's]",
        ),
        click.option("--correlation", metavar="VALUE", help="Of a gaussian path, in exposures: how slowly it changes."),
        click.option(
            "--rotation",
            metavar="DEGREES",
            help="Pitch and yaw: what the unit of a path stands for, unless --motion scales it.",
        ),
        click.option("--roll", metavar="DEGREES", help="The same about the optical axis."),
        click.option("--translation", metavar="METRES", help="The same sideways."),
        click.option("--forward", metavar="METRES", help="The same along the optical axis."),
        click.option(
            "--motion",
            metavar="PX",
            help="Scale each path until the crop's fastest point travels this far. [default: the preset's; paths are "
            "left as they are where one of the four above is given, other than as 0]",
        ),
        click.option("--field-of-view", type=float, metavar="DEGREES", help="Along the photo's longer side."),
        click.option("--focal", type=float, metavar="PX", help="Focal length in px of the photo, instead."),
        click.option(
            "--gyro",
            metavar="FILE",
            help="A recorded path: lines of a time and three rates. A heading says which column is which and in which "
            "unit; without one they are seconds and rates about x, y, z in rad/s (with lai in the axes of their "
            "recordings).",
        ),
        click.option(
            "--gyro-columns",
            metavar="NAMES",
            help="With --gyro: what its columns are, instead of its heading: 'time_ns,x,y,z', or "
            "'x (deg/s),y (deg/s),z (deg/s),-,time' (- is not read).",
        ),
        click.option("--exposure", metavar="SECONDS", help="With --gyro: how much of the recording is one exposure."),
        click.option(
            "--gyro-scale",
            type=float,
            metavar="FACTOR",
            help="With --gyro: factor on its angles. [default: 1; lai 0.5]",
        ),
        click.option(
            "--target",
            type=click.Choice(["middle", "first"]),
            help="The sharp image: the view in the middle of the exposure, or at its beginning. [default: middle; lai "
            "first]",
        ),
        click.option(
            "--readout",
            type=float,
            default=0.0,
            show_default=True,
            metavar="EXPOSURES",
            help="Rolling shutter: time from the first row's start to the last row's.",
        ),
        click.option("--knots", type=int, default=256, show_default=True, help="Poses that a path is kept as."),
        click.option("--no-path", is_flag=True, help="Do not store each pair's camera path."),
    ]
    return options.taking(command, shared)
