"""`blursynth info`."""

import click


@click.command("info")
@click.argument("dataset", metavar="DATASET")
def command(dataset: str) -> None:
    """What DATASET holds: arrays, sizes, splits, distributions of what made it, what was left out, provenance.

    \b
    Example:
      blursynth info pairs.zarr
    """
    from blursynth.report import describe
    from blursynth.storage import reader

    click.echo(describe.describe(reader.open(dataset, incomplete=True)))
