"""`blursynth average-frames`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("average-frames")
@click.argument("clips", nargs=-1, required=True, metavar="CLIPS...")
@options.of("average-frames")
@click.option(
    "--gopro-report",
    metavar="FOLDER",
    help="Make no dataset: average the sequence as the published one in FOLDER (with blur or blur_gamma) and print how "
    "the two differ.",
)
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
    if gopro_report is None:
        options.run("average-frames", clips, given)
        return
    from blursynth.makers import average_frames_request
    from blursynth.report import gopro_comparison

    for line in gopro_comparison.compare(clips, gopro_report, average_frames_request.request(given)):
        click.echo(line)
