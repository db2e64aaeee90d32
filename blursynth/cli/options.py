"""Options and behaviour that the making commands share: where to, with how much, and how progress is shown."""

import contextlib
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click
import tqdm

from blursynth import errors
from blursynth.config import commands
from blursynth.config import options as config

LEFT_OUT_SHOWN = 20

Command = TypeVar("Command", bound=Callable[..., Any])


def taking(command: Command, shared: Sequence[Callable[[Command], Command]]) -> Command:
    """The command with these options, in this order."""
    for option in reversed(shared):
        command = option(command)
    return command


def of(name: str) -> Callable[[Command], Command]:
    """The options of a making command, from its config models, then where to and what `working` says."""
    out = click.option("--out", "-o", metavar="PATH", help="The dataset to make. [default: a name from the source]")
    made = [_click_option(each) for each in commands.COMMANDS[name].options]
    return lambda command: taking(working(command), [*made, out])


def _click_option(option: config.Option) -> Callable[[Command], Command]:
    """Numbers are parsed here; everything else about a value is checked by the model."""
    types: dict[str, Any] = {"whole": int, "number": float, "choice": click.Choice(option.choices)}
    flags = option.flag if option.kind != "switch" else f"{option.flag}/--no-{option.flag.removeprefix('--')}"
    more: dict[str, Any] = {"is_flag": True, "default": None} if option.kind in ("flag", "switch") else {}
    return click.option(
        flags,
        type=types.get(option.kind),
        multiple=option.kind == "words",
        metavar=option.metavar or None,
        required=option.required,
        help=option.text + (f" [default: {option.default}]" if option.default else ""),
        **more,
    )


WORKING = ("workers", "scheduler", "memory", "append", "overwrite", "dry_run", "yes", "quiet")


def working(command: Command) -> Command:
    """How the work is done: with how much, and what if there is something already."""
    shared = [
        click.option("--workers", type=click.IntRange(1, 4096), help="Threads. Default: the processors there are."),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Work on the Dask cluster of this scheduler (tcp://...), or on one of --workers processes (local).",
        ),
        click.option("--memory", metavar="LIMIT", help="Of the whole run, such as 8GB. Default: what there is."),
        click.option("--append", is_flag=True, help="Add to a finished dataset; what is in it stays as it is."),
        click.option("--overwrite", is_flag=True, help="Replace an existing dataset (asks first)."),
        click.option("--dry-run", is_flag=True, help="Show the recipe, and what it would take: disk, memory, time."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--quiet", "-q", is_flag=True, help="No progress bar."),
    ]
    return taking(command, shared)


def work_words(given: Mapping[str, Any]) -> list[str]:
    """The options of WORKING that are given, as on the command line."""
    said = {name: given[name] for name in WORKING if given[name] not in (None, False)}
    flags = {name: f"--{name.replace('_', '-')}" for name in said}
    return [word for name in said for word in ([flags[name]] if said[name] is True else [flags[name], str(said[name])])]


def confirm_overwrite(out: str, overwrite: bool, yes: bool) -> None:
    """Ask before an existing dataset is replaced. Without a terminal to ask on, --yes is required."""
    if not overwrite or yes:
        return
    from blursynth.stores import store

    if store.is_vacant(store.normalise(out)):
        return
    if not sys.stdin.isatty():
        raise errors.DatasetError(f"{out} exists and would be replaced. Give --yes as well to replace it unasked.")
    if not click.confirm(f"{out} exists. Replace it?"):
        raise errors.DatasetError(f"{out} is left as it is.")


def progress(label: str, unit: str, quiet: bool) -> Callable[[int, int], None]:
    """A callback (done, total) that draws a bar with rate and time left on standard error."""
    if quiet:
        return lambda *_: None
    bars: list[tqdm.tqdm[Any]] = []

    def show(done: int, total: int) -> None:
        if not bars:  # what an earlier run made is the bar's start and does not count towards the rate
            interval = 0.1 if sys.stderr.isatty() else 30.0  # in a log file, a line now and then
            bars.append(
                tqdm.tqdm(
                    desc=label,
                    total=total,
                    initial=done,
                    unit=f" {unit}",
                    unit_scale=True,
                    smoothing=0,  # the whole run's rate: shards end in bursts, and a bar that believes them jumps
                    dynamic_ncols=True,
                    mininterval=interval,
                )
            )
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return show


def run(command: str, sources: Sequence[str], given: Mapping[str, Any], line: str = "", forecasts: Any = None) -> None:
    """Make the dataset that a command and its options ask for; see `make`.

    given: options by their names, `out` and those of WORKING among them. line: for the dataset's record, the command as
    typed if empty.
    """
    from blursynth.makers import registry
    from blursynth.production import retries

    line = line or shlex.join(["blursynth", *sys.argv[1:]])
    maker = retries.patiently(lambda: registry.start(command, sources, given, line))
    remark = registry.remark(maker)
    if remark:
        click.echo(remark, err=True)
    known = commands.COMMANDS[command]
    first = sources[-1 if command == "import" else 0] if sources else ""
    default = from_default(first, known.suffix) if sources else f"{known.suffix}.zarr"
    make(maker, given, default, known.unit, bool(given.get("strict")), forecasts)


def from_default(name: str, suffix: str = "") -> str:
    """The default --out for a source: its name without ending, in the current folder."""
    stem = pathlib.Path(name.replace(":", "-")).resolve().name
    for ending in (".zarr", *pathlib.Path(stem).suffixes):
        stem = stem.removesuffix(ending)
    return f"{stem}{suffix}.zarr"


def make(
    maker: Any, given: Mapping[str, Any], default: str, unit: str, strict: bool = False, forecasts: Any = None
) -> None:
    """Make the dataset with a progress bar, then say what came of it and what was left out; or only say what would.

    forecasts: a list for those of dry runs, whose refusals are then said and not raised.
    """
    from blursynth.production import executors, run

    out = given["out"] or default
    memory = executors.parse_bytes(given["memory"]) if given["memory"] else None
    if not given["dry_run"]:
        confirm_overwrite(out, given["overwrite"], given["yes"])
    with executor(given) as who:
        if given["dry_run"]:
            dry_run(maker, out, given, who, memory, unit, forecasts)
            return
        outcome = run.produce(
            maker,
            out,
            workers=given["workers"],
            overwrite=given["overwrite"],
            progress=progress(pathlib.Path(out).name, unit, given["quiet"]),
            strict=strict,
            append=given["append"],
            executor=who,
            memory=memory,
        )
    click.echo(summary(out, outcome, unit))


@contextlib.contextmanager
def executor(given: Mapping[str, Any]) -> Iterator[Any]:
    """The Dask cluster that --scheduler names, with its dashboard's address on standard error; None for threads."""
    if given["scheduler"] is None:
        yield None
        return
    from blursynth.production import cluster

    with cluster.connected(given["scheduler"], given["workers"]) as connected:
        click.echo(f"{connected.workers} workers; dashboard: {connected.dashboard}", err=True)
        yield connected


def dry_run(
    maker: Any, out: str, given: Mapping[str, Any], who: Any, memory: int | None, unit: str, forecasts: Any
) -> None:
    """Say what making the dataset would take; then raise what would refuse it, unless a recipe has more to say."""
    from blursynth.production import capacity, resume
    from blursynth.production import dry_run as forecast
    from blursynth.stores import store

    job = resume.look(maker, store.normalise(out), overwrite=given["overwrite"], append=given["append"])
    who = who or capacity.threads(job.maker, given["workers"], memory)
    found = forecast.forecast(job, who, memory)
    click.echo(forecast.describe(found, unit))
    if forecasts is not None:
        forecasts.append(found)
    elif found.refusal is not None:
        raise found.refusal


def total(forecasts: Sequence[Any]) -> str:
    """What dry runs come to together."""
    from blursynth.production import capacity
    from blursynth.production import dry_run as forecast

    items, disk, seconds = (
        sum(getattr(found, name) for found in forecasts) for name in ("items", "disk_bytes", "seconds")
    )
    return (
        f"all together: {items} items to make, about {capacity.words(disk)} of disk and "
        f"{forecast.duration(seconds)} with {forecasts[0].workers} workers"
    )


def summary(out: str, outcome: Any, unit: str) -> str:
    """One line on what was made, then what was left out."""
    if outcome.made == 0:
        lines = [f"{out} is complete already: {outcome.resumed} {unit}."]
    else:
        rate = outcome.made / max(outcome.seconds, 1e-9)
        made = unit.removesuffix("s") if outcome.made == 1 else unit
        kept = f", {outcome.resumed} kept from an earlier run" if outcome.resumed else ""
        unusable = f"; {outcome.invalid} of all could not be used" if outcome.invalid else ""
        lines = [f"{out}: {outcome.made} {made} in {outcome.seconds:.1f} s ({rate:.0f}/s){kept}{unusable}."]
    if outcome.skipped:
        lines.append(f"Left out ({len(outcome.skipped)}), recorded in the dataset:")
        lines += [f"  {left.name}: {left.reason}" for left in outcome.skipped[:LEFT_OUT_SHOWN]]
        if len(outcome.skipped) > LEFT_OUT_SHOWN:
            lines.append(f"  and {len(outcome.skipped) - LEFT_OUT_SHOWN} more (`blursynth info {out}`)")
    return "\n".join(lines)
