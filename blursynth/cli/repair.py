"""`blursynth repair`."""

import pathlib
from typing import Any

import click

from blursynth.cli import inspection, options


@click.command("repair")
@click.argument("dataset", metavar="DATASET")
@inspection.moved
@click.option("--workers", type=click.IntRange(1, 4096), help="Threads. Default: the processors there are.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def command(dataset: str, **given: Any) -> int:
    """Make what is damaged or missing in DATASET again, from its recorded recipe.

    What is made again has to equal its recorded SHA-256; sound shards are not touched. Items that an earlier version
    left out because their source could not be read for a moment are made, if the source is the one recorded. Exit
    code 0: everything is as it was; 1: something could not be mended, or the dataset is not finished, which the command
    that began it does.

    \b
    Examples:
      blursynth repair pairs.zarr
      blursynth repair pairs.zarr --photos /new/place/photos
    """
    from blursynth.maintenance import repair

    name = pathlib.Path(dataset).name
    outcome = repair.repair(
        dataset,
        moved=inspection.moved_inputs(given),
        workers=given["workers"],
        checking=options.progress(f"verify {name}", "shards", given["quiet"]),
        making=options.progress(f"repair {name}", "shards", given["quiet"]),
    )
    click.echo(_in_words(outcome))
    return 1 if outcome.unhealed or outcome.unfinished else 0


def _in_words(outcome: Any) -> str:
    begun = f"{outcome.path} is not finished: run the command that began it again to go on: {outcome.unfinished}"
    if not outcome.healed and not outcome.unhealed:
        return begun if outcome.unfinished else f"{outcome.path} is whole: nothing to repair."
    lines = [f"mended: {inspection.finding(found)}" for found in outcome.healed]
    lines += [f"not mended: {inspection.finding(found)}" for found in outcome.unhealed]
    lines += outcome.remarks
    done = f"{outcome.path}: {len(outcome.healed)} mended, {len(outcome.unhealed)} not"
    lines.append(f"{done}; {outcome.shards} shards made again ({outcome.seconds:.1f} s).")
    lines += [begun] if outcome.unfinished else []
    return "\n".join(lines)
