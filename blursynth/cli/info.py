"""`blursynth info`."""

import click


@click.command("info")
@click.argument("dataset", metavar="DATASET")
@click.option("--recipe", is_flag=True, help="Print the recipe that `blursynth make` makes the same bytes from.")
def command(dataset: str, recipe: bool) -> None:
    """What DATASET holds: arrays, sizes, splits, distributions of what made it, what was left out, provenance.

    With --recipe: command, source, seed and every option, as a recipe of this one dataset. Datasets that it was made
    from (trajectories, pairs) are named by their paths; their recipes are their own.

    \b
    Examples:
      blursynth info pairs.zarr
      blursynth info --recipe pairs.zarr > my.toml; blursynth make my.toml --out again/
    """
    from blursynth.report import describe
    from blursynth.storage import reader

    if recipe:
        from blursynth.makers import recorded_recipe

        click.echo(recorded_recipe.text(reader.open(dataset, incomplete=True)), nl=False)
        return
    click.echo(describe.describe(reader.open(dataset, incomplete=True)))
