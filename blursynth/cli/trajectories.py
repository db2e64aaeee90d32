"""`blursynth trajectories`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("trajectories")
@click.option("--n", type=int, default=1000, show_default=True, help="How many.")
@options.motion
@options.making
def command(n: int, **given: Any) -> None:
    """Random camera trajectories: Boracchi and Foi's Markov process, which is DeblurGAN's Algorithm 1.

    Each of the parameters is a number, a range LOW:HIGH to draw from, or a list A,B,C. Run the same command again
    to finish an interrupted dataset.

    \b
    Examples:
      blursynth trajectories --n 100000
      blursynth trajectories --n 5000 --preset deblurgan --seed 7 --out paths.zarr
      blursynth trajectories --n 1000 --anxiety 0.005 --length 20:60
    """
    from blursynth import recipe_file
    from blursynth.production import trajectories
    from blursynth.synthesis import recipe

    motion = options.given(given, options.MOTION_OPTIONS)
    resolved = recipe_file.from_options({"n": n, "motion": motion}, recipe.Trajectories)
    maker = trajectories.TrajectoryMaker(resolved, given["seed"], options.command_line(), given["shard_length"])
    options.make(maker, given, default="trajectories.zarr", unit="paths")
