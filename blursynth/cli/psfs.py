"""`blursynth psfs`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("psfs")
@click.argument("dataset", metavar="DATASET")
@options.of("psfs")
def command(dataset: str, **given: Any) -> None:
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
    options.run("psfs", [dataset], given)
