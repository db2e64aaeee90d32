"""Options and behaviour that the making commands share: where to, with how much, and how progress is shown."""

import contextlib
import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
import tqdm

from blursynth import errors

LEFT_OUT_SHOWN = 20

Command = TypeVar("Command", bound=Callable[..., Any])


def taking(command: Command, shared: Sequence[Callable[[Command], Command]]) -> Command:
    """The command with these options, in this order."""
    for option in reversed(shared):
        command = option(command)
    return command


def making(command: Command) -> Command:
    """What every command that makes a dataset takes: where to, from which seed, and what `working` says."""
    shared = [
        click.option("--out", "-o", metavar="PATH", help="The dataset to make. Default: a name from the source."),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**63 - 1),
            default=0,
            show_default=True,
            help="Item i is a function of (seed, i).",
        ),
        click.option(
            "--shard-length", type=click.IntRange(1, 2**24), help="Items a shard. Default: 64 to 128 MiB a shard."
        ),
    ]
    return taking(working(command), shared)


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


realism = click.option(
    "--realism",
    multiple=True,
    metavar="PRESET|NAME=VALUE",
    help="What a camera makes of the blurred light: rsblur, realblur (saturation, sensor noise, demosaicing), "
    "gaussian, lai or none; and single steps, such as jpeg=70:95, saturation=off, sensor.read=1e-3 or response=FILE. "
    "May repeat.",
)


def photo_pairs(command: Command) -> Command:
    """What every command takes that makes pairs from photos."""
    shared = [
        click.option("--size", type=int, help="Side of the square crop in px. Default: whole photos, all of one size."),
        click.option(
            "--fit",
            type=click.Choice(["crop", "resize"]),
            default="crop",
            show_default=True,
            help="Cut the crop out of the photo, or scale the whole photo to --size.",
        ),
        click.option("--per-photo", type=int, default=1, show_default=True, help="Pairs made from each photo."),
        click.option(
            "--transfer",
            type=click.Choice(["gamma2.2", "srgb", "linear"]),
            help="How the photos' values relate to light; the blur is taken in linear light. [default: gamma2.2, and "
            "linear with the preset lai of a moving camera]",
        ),
        click.option(
            "--splits",
            default="train=0.9,val=0.1",
            show_default=True,
            metavar="NAME=SHARE,...",
            help="Shares of the photos (never of the crops) for train, val and test.",
        ),
        click.option(
            "--strict", is_flag=True, help="Stop at the first photo that cannot be used instead of leaving it out."
        ),
        realism,
    ]
    return taking(command, shared)


def motion(command: Command) -> Command:
    """--preset and the parameters of the random motion, each a number, a range LOW:HIGH or a list A,B,C."""
    described = {
        "gaussian": "p_g: share of the Gaussian perturbation.",
        "impulse": "p_b: frequency of sudden turns.",
        "inertia": "I: pull toward the origin.",
        "anxiety": "p_s: size of the random perturbation; 0 moves along a line.",
        "length": "Lmax: arc length of a path in px. [default: 60]",
    }
    for name, text in described.items():
        command = click.option(f"--{name}", metavar="VALUE", help=text)(command)
    command = click.option("--steps", type=int, help="M: samples of a path. [default: 2000]")(command)
    return click.option(
        "--preset",
        type=click.Choice(["boracchi-foi", "deblurgan", "algorithm-1"]),
        default="boracchi-foi",
        show_default=True,
        help="Where the parameters below come from: Boracchi and Foi's reference, DeblurGAN's public code (six small "
        "anxieties), or Algorithm 1 as printed (hardly moves; for study).",
    )(command)


MOTION_OPTIONS = ("preset", "steps", "length", "anxiety", "inertia", "impulse", "gaussian")


def given(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The options among `names` that the user gave (or that have a default)."""
    return {name: values[name] for name in names if values.get(name) is not None}


def confirm_overwrite(out: str, overwrite: bool, yes: bool) -> None:
    """Ask before an existing dataset is replaced. Without a terminal to ask on, --yes is required."""
    if not overwrite or yes:
        return
    from blursynth.storage import place

    if place.is_vacant(place.normalise(out)):
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


@dataclasses.dataclass
class Together:
    """Several commands that a recipe runs. said: the one that runs now, in words. forecasts: those of dry runs."""

    said: list[str] = dataclasses.field(default_factory=list)
    forecasts: list[Any] = dataclasses.field(default_factory=list)


def _together() -> Together | None:
    ctx = click.get_current_context(silent=True)
    return ctx.find_object(Together) if ctx is not None else None


def command_line() -> str:
    """The command as typed, or as a recipe stands for it, for the dataset's record."""
    together = _together()
    return shlex.join(["blursynth", *sys.argv[1:]] if together is None else together.said)


def from_default(name: str, suffix: str = "") -> str:
    """The default --out for a source: its name without ending, in the current folder."""
    stem = pathlib.Path(name.replace(":", "-")).resolve().name
    for ending in (".zarr", *pathlib.Path(stem).suffixes):
        stem = stem.removesuffix(ending)
    return f"{stem}{suffix}.zarr"


def make(maker: Any, given: dict[str, Any], default: str, unit: str, strict: bool = False) -> None:
    """Make the dataset with a progress bar, then say what came of it and what was left out; or only say what would."""
    from blursynth.production import execute, run

    out = given["out"] or default
    memory = execute.parse_bytes(given["memory"]) if given["memory"] else None
    if not given["dry_run"]:
        confirm_overwrite(out, given["overwrite"], given["yes"])
    with executor(given) as who:
        if given["dry_run"]:
            dry_run(maker, out, given, who, memory, unit)
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
def executor(given: dict[str, Any]) -> Iterator[Any]:
    """The Dask cluster that --scheduler names, with its dashboard's address on standard error; None for threads."""
    if given["scheduler"] is None:
        yield None
        return
    from blursynth.production import cluster

    with cluster.connected(given["scheduler"], given["workers"]) as connected:
        click.echo(f"{connected.workers} workers; dashboard: {connected.dashboard}", err=True)
        yield connected


def dry_run(maker: Any, out: str, given: dict[str, Any], who: Any, memory: int | None, unit: str) -> None:
    """Say what making the dataset would take; then raise what would refuse it, unless a recipe has more to say."""
    from blursynth.production import capacity, forecast, jobs
    from blursynth.storage import place

    job = jobs.look(maker, place.normalise(out), overwrite=given["overwrite"], append=given["append"])
    who = who or capacity.threads(job.maker, given["workers"], memory)
    found = forecast.forecast(job, who, memory)
    click.echo(forecast.describe(found, unit))
    together = _together()
    if together is not None:
        together.forecasts.append(found)
    elif found.refusal is not None:
        raise found.refusal


def total(forecasts: Sequence[Any]) -> str:
    """What dry runs come to together."""
    from blursynth.production import capacity, forecast

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
