"""`blursynth make`: the datasets of a recipe, each as its command would make it."""

from typing import Any

import click

from blursynth.cli import options


@click.command("make")
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--source", multiple=True, metavar="DATASET=PATH", help="Where a dataset's photos or clips lie. May repeat."
)
@click.option("--set", "changes", multiple=True, metavar="DATASET.OPTION=VALUE", help="Change one option. May repeat.")
@click.option("--only", multiple=True, metavar="DATASET", help="Make this one alone. May repeat.")
@click.option("--out", "-o", default=".", metavar="FOLDER", help="Where the datasets go. [default: here]")
@options.working
@click.pass_context
def command(ctx: click.Context, /, recipe: str, **given: Any) -> None:
    """Make the datasets that RECIPE describes: a TOML file, or the name of one that comes with the package.

    Each table of a recipe is one dataset: a command, its source, and the command's options by their names. Datasets
    are made in the recipe's order; one that is complete is left as it is, so that the same command goes on with what
    an interruption left.

    \b
    Examples:
      blursynth make deblurgan-synth --source coco=train2017/
      blursynth make deep-generative-filter --source coco=train2017/ --source imagenet=val/ --dry-run
      blursynth make lai --source uniform=sharp/ --source nonuniform=sharp/ --set uniform.psf_size=75
      blursynth make my-recipe.toml --out /data --only gopro
    """
    from blursynth.cli import recipe_commands

    found = recipe_commands.load(recipe, given["source"], given["changes"], given["only"])
    how = options.given(given, options.WORKING)
    together = options.Together()
    for entry in found:
        if len(found) > 1:
            click.echo(f"[{entry.name}]")
        recipe_commands.run(ctx, entry, given["out"], how, together)
    if len(found) > 1 and together.forecasts:
        click.echo(options.total(together.forecasts))
