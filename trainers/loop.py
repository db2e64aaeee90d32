"""The one training loop. Its clock is images seen; everything random in a step follows from (seed, step), so that a run
that was stopped anywhere goes on as if it had not been.
"""

import dataclasses
import math
import pathlib
import signal
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Self

import torch
import tqdm

from blursynth import errors, recipe_file
from blursynth.media import photos
from trainers import checkpoint, data, journal, run_folder, session, sheets, validation


class TrainingDivergedError(errors.BlursynthError):
    """A loss or a weight is no longer a finite number."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended. `signal` is what stopped it early; `scores` are the last validation's."""

    images: int
    finished: bool
    scores: dict[str, Any]
    best: float | None
    signal: int | None = None


@dataclasses.dataclass
class State:
    """Where a run is, apart from weights and optimisers. `sums` are the losses since the last log line."""

    step: int = 0
    best: float | None = None
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    sums: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    summed: int = 0

    def add(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Sum on the device: fetching a number here would make the host wait for every step."""
        for name, loss in losses.items():
            # A new tensor each time, never the method's own; float64, so that long intervals lose nothing.
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss.to(torch.float64, copy=True)
        self.summed += 1

    def means(self) -> dict[str, float]:
        """The mean losses since the last call."""
        found = {name: float(total) / self.summed for name, total in self.sums.items()}
        self.sums, self.summed = {}, 0
        return found


def train(run: session.Session, folder: pathlib.Path) -> Outcome:
    """Train from where the folder's last checkpoint is (or from the start) to the end of the recipe's schedule.

    Stops at SIGTERM and SIGINT with a checkpoint. Raises TrainingDivergedError at a loss that is not a finite number,
    InputError where the folder's checkpoint was trained on other data.
    """
    output, per_step = run.recipe.output, run.images_per_step
    state = _resume(run, folder)
    images = state.step * per_step
    if state.step >= run.steps:
        return Outcome(images, True, state.scores, state.best)
    rates = {name: [group["lr"] for group in each.param_groups] for name, each in run.method.optimisers.items()}
    with (
        _StopSignal() as stop,
        journal.Journal(folder, images) as log,
        data.Prefetch(run.data, state.step, per_step, run.device) as prefetch,
        tqdm.tqdm(total=run.steps * per_step, initial=images, unit="img", disable=None, dynamic_ncols=True) as bar,
    ):
        meter = _Meter()
        while state.step < run.steps:
            factor = run.recipe.schedule.factor(images, run.data.epoch)
            _set_rates(run, rates, factor)
            waiting = time.perf_counter()
            pairs = prefetch.get()
            meter.waited += time.perf_counter() - waiting
            batches = data.batches(pairs, run.recipe.data.batch, run.device)
            torch.manual_seed(session.seed(run.recipe.seed, "step", state.step))
            state.add(run.method.step(batches))
            state.step += 1
            before, images = images, images + per_step
            meter.images += per_step
            bar.update(per_step)
            # Read once: a signal that comes later than this is seen by the next step.
            stopped_by = stop.number
            last = state.step == run.steps
            if last or _passed(output.log_every, before, images):
                _log(run, folder, log, state, meter, bar, factor)
            if run.held_out is not None and (last or _passed(run.recipe.validation.every, before, images)):
                meter.pause()
                _validate(run, run.held_out, folder, log, state)
                meter.go_on()
            if last or stopped_by is not None or _passed(output.checkpoint_every, before, images):
                meter.pause()
                log.sync()
                _save(run, folder / checkpoint.LAST, folder, state, resumable=True)
                meter.go_on()
            if output.keep_every and _passed(output.keep_every, before, images):
                _save(run, folder / f"images-{images:012d}.safetensors", folder, state, resumable=True)
            if stopped_by is not None:
                break
    return Outcome(images, last, state.scores, state.best, None if last else stopped_by)


def _resume(run: session.Session, folder: pathlib.Path) -> State:
    last = folder / checkpoint.LAST
    if not last.is_file():
        return State()
    about = checkpoint.about(last)
    then, now = ([each["fingerprint"] for each in sets] for sets in (about.datasets, run.data.describe()))
    if then != now:
        paths = ", ".join(entry.path for entry in run.recipe.data.train)
        raise errors.InputError(
            f"{last} was trained on other data than {paths} holds now; bring the old data back, choose another --out, "
            "or start anew with --overwrite."
        )
    sums = checkpoint.load_training_state(last, run.method)
    on_device = {name: value.to(run.device) for name, value in sums.items()}
    return State(about.step, about.progress["best"], about.metrics, on_device, about.progress["summed"])


def _set_rates(run: session.Session, rates: Mapping[str, list[float]], factor: float) -> None:
    for name, optimiser in run.method.optimisers.items():
        for group, rate in zip(optimiser.param_groups, rates[name], strict=True):
            group["lr"] = rate * factor


def _passed(every: int, before: int, images: int) -> bool:
    """Whether a multiple of `every` was reached on the way from `before` to `images`."""
    return images // every > before // every


def _log(
    run: session.Session,
    folder: pathlib.Path,
    log: journal.Journal,
    state: State,
    meter: "_Meter",
    bar: "tqdm.tqdm[Any]",
    factor: float,
) -> None:
    losses = state.means()
    _require_finite(losses, folder)
    images = state.step * run.images_per_step
    speed, wait = meter.rates()
    rates = {name: each.param_groups[0]["lr"] for name, each in run.method.optimisers.items()}
    place = {"step": state.step, "epoch": images / run.data.epoch}
    settings = {"rate": rates, "rate_factor": factor, "provenance": run.method.provenance}
    log.write("train", images, place | {"loss": losses} | settings | {"images_per_second": speed, "data_wait": wait})
    bar.set_postfix({**{name: f"{value:.3g}" for name, value in losses.items()}, "data wait": f"{wait:.0%}"})


def _validate(
    run: session.Session, held_out: validation.HeldOut, folder: pathlib.Path, log: journal.Journal, state: State
) -> None:
    images = state.step * run.images_per_step
    torch.manual_seed(session.seed(run.recipe.seed, "validation"))
    scores, rows = validation.evaluate(run.method, held_out, run.device)
    state.scores = {"protocol": validation.PROTOCOL, "images_seen": images, **dataclasses.asdict(scores)}
    log.write("validation", images, {**state.scores, "provenance": run.method.provenance})
    if run.recipe.output.sheet:
        wanted = run.recipe.output.sheet
        # Neighbours often come from one photo: the sheet shows images from all over.
        shown = rows[:: max(1, len(rows) // wanted)][:wanted]
        picture = sheets.sheet(
            [(row.blurred, row.restored, row.sharp) for row in shown],
            [
                (f"blurred, {row.blurred_psnr:.2f} dB", f"restored, {row.restored_psnr:.2f} dB", "sharp")
                for row in shown
            ],
        )
        photos.write_png(folder / run_folder.SHEETS / f"images-{images:012d}.png", picture)
        log.picture("blurred, restored, sharp", images, picture)
    tqdm.tqdm.write(f"{images:,} images seen; {scores}")
    if math.isfinite(scores.psnr) and (state.best is None or scores.psnr > state.best):
        state.best = scores.psnr
        _save(run, folder / checkpoint.BEST, folder, state, resumable=False)


def _save(run: session.Session, path: pathlib.Path, folder: pathlib.Path, state: State, *, resumable: bool) -> None:
    """Never writes a checkpoint that is spoiled: the last good one stays."""
    _require_finite({name: float(total) for name, total in state.sums.items()}, folder)
    for name, network in run.method.networks.items():
        if not all(bool(torch.isfinite(weights).all()) for weights in network.parameters()):
            raise TrainingDivergedError(_diverged(f"a weight of the {name} is not a finite number", folder))
    about = checkpoint.About(
        recipe=recipe_file.to_toml(run.recipe),
        method=run.recipe.method_name,
        variant=str(run.recipe.method.model_dump().get("variant", "")),
        step=state.step,
        images_seen=state.step * run.images_per_step,
        datasets=run.data.describe(),
        provenance=run.method.provenance,
        metrics=state.scores,
        progress={"best": state.best, "summed": state.summed},
    )
    checkpoint.save(path, about, run.method, state.sums if resumable else None)


def _require_finite(losses: Mapping[str, float], folder: pathlib.Path) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDivergedError(_diverged(f'the loss "{name}" became {value}', folder))


def _diverged(what: str, folder: pathlib.Path) -> str:
    last = folder / checkpoint.LAST
    if not last.is_file():
        return f"Training diverged: {what}, before the first checkpoint. Try a lower learning rate, in another --out."
    return (
        f"Training diverged: {what}. The last good checkpoint, {last}, is at {checkpoint.about(last).images_seen:,} "
        "images. Try a lower learning rate, in another --out."
    )


class _Meter:
    """Images per second and the share of time spent waiting for data, validation and checkpoints apart."""

    def __init__(self) -> None:
        self.images = 0
        self.waited = 0.0
        self._spent = 0.0
        self._since = time.perf_counter()

    def pause(self) -> None:
        self._spent += time.perf_counter() - self._since

    def go_on(self) -> None:
        self._since = time.perf_counter()

    def rates(self) -> tuple[float, float]:
        """Both since the last call."""
        self.pause()
        found = self.images / self._spent, self.waited / self._spent
        self.images, self.waited, self._spent = 0, 0.0, 0.0
        self.go_on()
        return found


class _StopSignal:
    """Notes SIGTERM and SIGINT instead of dying of the first one; a second one is obeyed at once."""

    number: int | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.number = number
        for each, handler in self._before.items():
            signal.signal(each, handler)
