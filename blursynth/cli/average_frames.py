"""`blursynth average-frames`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("average-frames")
@click.argument("clips", nargs=-1, required=True, metavar="CLIPS...")
@click.option(
    "--preset",
    type=click.Choice(["gopro", "deblurgan-detection", "kohler"]),
    default="gopro",
    show_default=True,
    help="gopro: M from names such as GOPR0372_07_00, else 11. deblurgan-detection: odd M in 5-25. kohler: as gopro, "
    "but averages codes instead of light.",
)
@click.option("--frames", metavar="M", help="Frames in a window: 11, a list 7,11,13 or odd ones of a range 7-13.")
@click.option(
    "--target", metavar="PLACE", help="The sharp frame: middle, or its place in the window from 0. [default: middle]"
)
@click.option("--stride", type=int, help="Frames from a window's start to the next. Default: windows do not overlap.")
@click.option("--duty-cycle", type=float, help="Instead: share of the time between starts that the shutter is open.")
@click.option("--gamma", type=float, help="g: power of the response; 1 averages codes, as the published `blur`.")
@click.option("--transfer", type=click.Choice(["gamma2.2", "srgb", "linear"]), help="The response by its name.")
@click.option("--response", metavar="FILE", help="A measured response: 256 rows with the light of each code.")
@click.option("--rounding", type=click.Choice(["nearest", "floor"]), help="Of the mean. [default: nearest]")
@click.option("--interpolate", type=int, metavar="K", help="Frames put into each interval by optical flow.")
@click.option("--max-step", type=float, metavar="PX", help="Leave out windows where anything moves further a step.")
@click.option("--min-motion", type=float, metavar="PX", help="Leave out windows where less moves than this.")
@click.option("--motion/--no-motion", default=True, help="Measure motion (needs OpenCV). [default: motion]")
@click.option("--size", type=int, help="Side of square crops in px. Default: whole frames, all of one size.")
@click.option("--crop", type=click.Choice(["random", "grid"]), help="Where crops lie. [default: random]")
@click.option("--per-window", type=int, metavar="N", help="Random crops of each window. [default: 1]")
@click.option(
    "--matrix",
    type=click.Choice(["auto", "bt601", "bt709", "bt2020", "smpte240m"]),
    help="Colour matrix, where the file's is wrong. [default: auto: the file's, bt601 where it has none]",
)
@click.option(
    "--primaries",
    type=click.Choice(["auto", "keep"]),
    help="keep: values of BT.2020, P3 and other primaries as they are. [default: auto: such clips are refused]",
)
@click.option(
    "--fps",
    type=float,
    metavar="RATE",
    help="Frames per second of the recording. [default: what videos say; 240 for folders of frames]",
)
@click.option("--allow-fps", is_flag=True, help="Use clips of fewer than 200 frames per second.")
@click.option("--allow-damaged", is_flag=True, help="Use what can be read of files that are damaged or end early.")
@click.option(
    "--splits",
    default="train=0.9,val=0.1",
    show_default=True,
    metavar="NAME=SHARE,...",
    help="Shares of the clips; or `folder`: clips lie in folders named train, val, test.",
)
@click.option("--strict", is_flag=True, help="Stop at the first clip that cannot be used instead of leaving it out.")
@click.option(
    "--gopro-report",
    metavar="FOLDER",
    help="Make no dataset: average the sequence as the published one in FOLDER (with blur or blur_gamma) and print how "
    "the two differ.",
)
@options.realism
@options.making
def command(clips: tuple[str, ...], gopro_report: str | None, **given: Any) -> None:
    """Blurred/sharp pairs from CLIPS: 240 fps videos, folders of frames, or folders of either.

    M successive frames are averaged in linear light, as the GOPRO set was; the middle one is the sharp image. Windows
    across scene cuts or with damaged frames are left out and counted. How far things move is measured and recorded.
    Run the same command again to finish an interrupted dataset.

    \b
    Examples:
      blursynth average-frames video.mp4
      blursynth average-frames footage/ --frames 7-13 --size 256 --per-window 4 --min-motion 5
      blursynth average-frames GOPRO_Large_all/ --splits folder --out gopro.zarr
      blursynth average-frames slow.mp4 --allow-fps --interpolate 7
      blursynth average-frames GOPR0372_07_00.mp4 --gopro-report GOPRO_Large/train/GOPR0372_07_00
    """
    from blursynth.production import attempts, footage

    if given["target"] not in (None, "middle"):
        try:
            given["target"] = int(given["target"])
        except ValueError:
            raise click.BadParameter("expected middle, or a whole number from 0", param_hint="--target") from None
    if gopro_report is not None:
        from blursynth.report import published

        for line in published.compare(clips, gopro_report, footage.request(given)):
            click.echo(line)
        return
    maker = attempts.patiently(lambda: footage.maker(clips, given, options.command_line()))
    assumed = footage.assumed_rates(maker)
    if assumed:
        folders = f"{assumed} folders" if assumed > 1 else "A folder"
        click.echo(f"{folders} of frames: 240 frames per second are assumed; --fps RATE says otherwise.", err=True)
    options.make(maker, given, default=options.from_default(clips[0], "-pairs"), unit="pairs")
