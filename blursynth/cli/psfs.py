"""`blursynth psfs`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("psfs")
@click.argument("trajectories", metavar="TRAJECTORIES")
@click.option(
    "--exposures", default="1", show_default=True, metavar="A,B,C", help="Fractions of the path, each from its start."
)
@click.option("--size", type=int, default=64, show_default=True, help="Side of the square canvas in px.")
@click.option(
    "--centring",
    type=click.Choice(["centroid", "bounding-box"]),
    default="centroid",
    show_default=True,
    help="bounding-box is the public code's: off centre by 2.2 px on average, up to 7.6. For comparison only.",
)
@options.making
def command(trajectories: str, exposures: str, size: int, centring: str, **given: Any) -> None:
    """Sub-pixel blur kernels (PSFs) from a trajectories dataset.

    Each kernel sums to 1, has its centroid on pixel (size // 2, size // 2), and lies wholly inside the canvas (an
    error names the size needed). Items are ordered by path, then by exposure.

    \b
    Examples:
      blursynth psfs trajectories.zarr
      blursynth psfs trajectories.zarr --exposures 0.01,0.1,0.5,1 --size 64 --out psfs.zarr
    """
    from blursynth.production import psfs

    maker = psfs.maker(
        trajectories, exposures, size, centring, given["seed"], options.command_line(), given["shard_length"]
    )
    options.make(maker, given, default=options.from_default(trajectories, "-psfs"), unit="PSFs")
