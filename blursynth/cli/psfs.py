"""`blursynth psfs`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("psfs")
@click.argument("dataset", metavar="DATASET")
@click.option(
    "--exposures", default="1", show_default=True, metavar="A,B,C", help="Fractions of the path, each from its start."
)
@click.option(
    "--size", type=int, help="Side of the square canvas in px. [default: 64; of pairs, what the longest path needs]"
)
@click.option("--grid", metavar="GYxGX", help="Of pairs of `shake`: points of light in each image, such as 4x4.")
@click.option(
    "--centring",
    type=click.Choice(["centroid", "bounding-box"]),
    default="centroid",
    show_default=True,
    help="bounding-box is the public code's: off centre by 2.2 px on average, up to 7.6. For comparison only.",
)
@options.making
def command(dataset: str, exposures: str, size: int | None, grid: str | None, centring: str, **given: Any) -> None:
    """Sub-pixel blur kernels (PSFs) from a dataset of trajectories, or of pairs of `shake`.

    Each kernel sums to 1, has its centroid on pixel (size // 2, size // 2), and lies wholly inside the canvas (an
    error names the size needed). Items are ordered by path, then by exposure. With --grid, kernels are what points of
    light in each pair's image became under its camera path, with the point's own place at that pixel.

    \b
    Examples:
      blursynth psfs trajectories.zarr
      blursynth psfs shaken.zarr --grid 4x4
      blursynth psfs trajectories.zarr --exposures 0.01,0.1,0.5,1 --size 64 --out psfs.zarr
    """
    from blursynth.production import camera_psfs, psfs

    said, length = options.command_line(), given["shard_length"]
    maker = (
        psfs.maker(dataset, exposures, 64 if size is None else size, centring, given["seed"], said, length)
        if grid is None
        else camera_psfs.maker(dataset, grid, size, said, length)
    )
    options.make(maker, given, default=options.from_default(dataset, "-psfs"), unit="PSFs")
