"""`blursynth make`: the datasets of a recipe, each as its command would make it."""

import shlex
from typing import Any

import click

from blursynth import errors
from blursynth.cli import options


@click.command("make")
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--source", multiple=True, metavar="DATASET=PATH", help="Where a dataset's photos or clips lie. May repeat."
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="DATASET.OPTION=VALUE",
    help="Change one option, or one value of a table. May repeat.",
)
@click.option("--only", multiple=True, metavar="DATASET", help="Make this one alone. May repeat.")
@click.option("--out", "-o", default=".", metavar="FOLDER", help="Where the datasets go. [default: here]")
@options.working
def command(recipe: str, **given: Any) -> None:
    """Make the datasets that RECIPE describes: a TOML file, or the name of one that comes with the package.

    Each table of a recipe is one dataset: a command, its source, and the command's options by their names, or in
    tables as `blursynth info --recipe` prints them. Datasets are made in the recipe's order; one that is complete is
    left as it is, so that the same command goes on with what an interruption left.

    \b
    Examples:
      blursynth make deblurgan-synth --source coco=train2017/
      blursynth make deep-generative-filter --source coco=train2017/ --source imagenet=val/ --dry-run
      blursynth make lai --source uniform=sharp/ --source nonuniform=sharp/ --set uniform.psf_size=75
      blursynth make handheld-realistic --source photos=photos/ --set photos.realism.jpeg=60:90
      blursynth make my-recipe.toml --out /data --only gopro
    """
    from blursynth.makers import dataset_recipe

    entries = dataset_recipe.load(recipe, given["source"], given["changes"], given["only"])
    forecasts: list[Any] = []
    for entry in entries:
        if len(entries) > 1:
            click.echo(f"[{entry.name}]")
        _make(entry.placed(given["out"]), entry.out(given["out"]), given, forecasts)
    if len(entries) > 1 and forecasts:
        click.echo(options.total(forecasts))


def _make(entry: Any, out: str, given: dict[str, Any], forecasts: list[Any]) -> None:
    """Run an entry's command; what its dataset records is the command line that stands for it."""
    words = [*entry.sources, "--out", out, *entry.words(), *options.work_words(given)]
    line = shlex.join(["blursynth", entry.command, *words])
    how = {name: given[name] for name in options.WORKING}
    try:
        options.run(entry.command, entry.sources, {**entry.settings, **how, "out": out}, line, forecasts)
    except errors.RecipeError as error:
        raise errors.RecipeError(f"[{entry.name}]: {error}") from None
