"""`blursynth trajectories`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("trajectories")
@options.of("trajectories")
def command(**given: Any) -> None:
    """Random camera trajectories: Boracchi and Foi's Markov process, which is DeblurGAN's Algorithm 1.

    Each of the parameters is a number, a range LOW:HIGH to draw from, or a list A,B,C. Run the same command again
    to finish an interrupted dataset.

    \b
    Examples:
      blursynth trajectories --n 100000
      blursynth trajectories --n 5000 --preset deblurgan --seed 7 --out paths.zarr
      blursynth trajectories --n 1000 --anxiety 0.005 --length 20:60
    """
    options.run("trajectories", [], given)
