"""`blursynth verify`."""

import dataclasses
import json
import pathlib
from typing import Any

import click

from blursynth.cli import inspection, options


@click.command("verify")
@click.argument("dataset", metavar="DATASET")
@click.option("--quick", is_flag=True, help="Compare digests alone; decode nothing.")
@click.option("--no-sources", is_flag=True, help="Do not compare sharp images with the photos they came from.")
@inspection.moved
@click.option("--workers", type=click.IntRange(1, 4096), help="Threads. Default: the processors there are.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def command(dataset: str, quick: bool, no_sources: bool, as_json: bool, **given: Any) -> int:
    """Whether DATASET still is what was made.

    Every object is compared with its SHA-256, metadata included, and every array is decoded; paths, kernels, crops
    and columns are compared with what they have to satisfy; sharp images with the photos, and those with their
    SHA-256. Names every bad shard and item, as
    they are stored. Exit code 0: sound; 1: not.

    \b
    Examples:
      blursynth verify pairs.zarr
      blursynth verify pairs.zarr --quick
      blursynth verify pairs.zarr --photos /new/place/photos --json
    """
    from blursynth.maintenance import verify

    bar = options.progress(f"verify {pathlib.Path(dataset).name}", "shards", given["quiet"] or as_json)
    report = verify.verify(
        dataset,
        quick=quick,
        sources=not no_sources,
        moved=inspection.moved_inputs(given),
        workers=given["workers"],
        progress=bar,
    )
    click.echo(json.dumps(dataclasses.asdict(report) | {"sound": report.sound}) if as_json else _in_words(report))
    return 0 if report.sound else 1


def _in_words(report: Any) -> str:
    lines = [inspection.finding(found) for found in report.findings]
    lines += [f"Other versions may explain images that differ: {line}." for line in report.remarks]
    problems = sum(not found.warning for found in report.findings)
    if problems:
        lines.append(f"{report.path}: {problems} problem{'s' if problems > 1 else ''}.")
        if report.shards and any(found.damage for found in report.findings):
            lines.append(f"`blursynth repair {report.path}` makes what is damaged or missing again.")
    else:
        compared = f", {report.compared} sharp images equal to their sources" if report.compared else ""
        size = f"{report.items} {report.kind} in {report.shards} shards"
        lines.append(f"{report.path} is sound: {size}{compared} ({report.seconds:.1f} s).")
    return "\n".join(lines)
