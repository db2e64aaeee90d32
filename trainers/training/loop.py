"""The training loop, whose clock is images seen.

Everything random in a step follows from (seed, step), so that a run stopped anywhere continues to the same result.
"""

import dataclasses
import pathlib
import signal
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from blursynth import errors
from blursynth.media import source_file
from trainers import device_memory, distributed, recipe, seeding
from trainers.checkpoints import checkpoint
from trainers.methods import method
from trainers.training import cost, data, recorder, run_folder, session


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended. `signal` stopped it early; `scores` are the last validation's."""

    images: int
    finished: bool
    scores: dict[str, Any]
    best: float | None
    signal: int | None = None


def train(run: session.Session, folder: pathlib.Path) -> Outcome:
    """Train from the folder's last checkpoint, or the start, to the end of the schedule.

    SIGTERM and SIGINT stop the run with a checkpoint. With several processes each calls this; the first one writes.

    Raises
    ------
    TrainingDivergedError
        Training has diverged (see `divergence`).
    SourceError, DatasetError
        Pairs cannot be read any more; a single process makes a checkpoint first.
    InputError
        The folder's checkpoint was trained on other data, or the device ran out of memory.
    """
    output, per_step = run.recipe.output, run.images_per_step
    state = _resume(run, folder)
    images = state.step * per_step
    if state.step >= run.steps:
        return Outcome(images, True, state.scores, state.best)
    rates = {name: [group["lr"] for group in each.param_groups] for name, each in run.method.optimisers.items()}
    steps = run.data.steps(state.step, run.pairs_per_step, distributed.number(), distributed.count())
    with (
        _StopSignal() as stop,
        recorder.Recorder(run, folder, state) as record,
        data.Prefetch(steps, run.device) as prefetch,
    ):
        record.show_fed()
        batches: list[method.Batch] = []
        while state.step < run.steps:
            factor = run.recipe.schedule.factor(images, run.data.epoch)
            _set_rates(run, rates, factor)
            try:
                drawn = record.waiting_for(prefetch.get)
            except errors.BlursynthError:
                # A photo or shard that cannot be read any more ends the run; what was learned until now is kept.
                if batches and distributed.count() == 1:
                    record.save(folder / checkpoint.LAST, batches[-1])
                raise
            batches = _step(run, state, drawn)
            before, images = images, images + per_step
            record.advance(per_step)
            # Read once: a signal that comes later than this is seen by the next step. All processes stop at the same.
            stopped_by = distributed.largest(stop.number or 0) or None
            last = state.step == run.steps
            if last or _passed(output.log_every, before, images):
                record.log(factor)
            if run.held_out is not None and (last or _passed(run.recipe.validation.every, before, images)):
                record.validate(run.held_out)
            if last or stopped_by is not None or _passed(output.checkpoint_every, before, images):
                record.save(folder / checkpoint.LAST, batches[-1])
            if output.keep_every and _passed(output.keep_every, before, images):
                record.save(folder / f"images-{images:012d}.safetensors", batches[-1])
            if stopped_by is not None:
                break
    return Outcome(images, last, state.scores, state.best, None if last else stopped_by)


def _step(run: session.Session, state: recorder.State, drawn: data.Drawn) -> list[method.Batch]:
    """Update every network once; return the batches. Does not wait for the device."""
    section = run.recipe.data
    batches = data.batches(section, drawn, section.batch // distributed.count(), run.device)
    # The first process draws what one alone would.
    purpose = "step" if distributed.first() else f"step of process {distributed.number()}"
    torch.manual_seed(seeding.seed(run.recipe.seed, purpose, state.step))
    try:
        state.add(run.method.step(batches))
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not device_memory.ran_out(error):
            raise
        raise cost.explanation(run.recipe, run.data.patches.size, run.device) from None
    if run.ema is not None:
        run.ema.update(state.step)
    state.step += 1
    return batches


def _resume(run: session.Session, folder: pathlib.Path) -> recorder.State:
    last = folder / checkpoint.LAST
    if not source_file.is_file(last):
        return recorder.State()
    about = checkpoint.resume_from(last, run.images_per_step)
    recipe.trained(about.recipe, about.method, about.variant, last)
    run_folder.require_same_data(folder, run.recipe, run.data.describe(), run.held_out)
    sums = checkpoint.load_training_state(last, run.method)
    if run.ema is not None:
        run.ema.fill(checkpoint.load_ema(last, run.ema.weights))
    on_device = {name: value.to(run.device) for name, value in sums.items()}
    return recorder.State(about.step, about.progress["best"], about.metrics, on_device, about.progress["summed"])


def _set_rates(run: session.Session, rates: Mapping[str, list[float]], factor: float) -> None:
    for name, optimiser in run.method.optimisers.items():
        for group, rate in zip(optimiser.param_groups, rates[name], strict=True):
            group["lr"] = rate * factor


def _passed(every: int, before: int, images: int) -> bool:
    """Return whether `before` to `images` passes a multiple of `every`."""
    return images // every > before // every


class _StopSignal:
    """Records the first SIGTERM or SIGINT; a second one ends the process at once."""

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
