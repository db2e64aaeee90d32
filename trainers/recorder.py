"""What a run leaves behind while it trains: log lines, a progress bar, validations with their sheets, checkpoints."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
import tqdm

from blursynth import recipe_file
from blursynth.media import photos
from trainers import checkpoint, guard, journal, ranks, run_folder, session, sheets, validation
from trainers.methods import method

Anything = TypeVar("Anything")


@dataclasses.dataclass
class State:
    """Where a run is, apart from weights and optimisers. `sums` are the losses since the last log line."""

    step: int = 0
    best: float | None = None
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    sums: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    summed: int = 0
    latest: dict[str, float] = dataclasses.field(default_factory=dict)
    """The mean losses that were logged last."""

    def add(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Sum on the device: fetching a number here would make the host wait for every step."""
        for name, loss in losses.items():
            # A new tensor each time, never the method's own; float64, so that long intervals lose nothing.
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss.to(torch.float64, copy=True)
        self.summed += 1

    def means(self) -> dict[str, float]:
        """The mean losses since the last call, over all processes."""
        found = {name: float(total) / self.summed for name, total in ranks.mean(self.sums).items()}
        self.sums, self.summed, self.latest = {}, 0, found
        return found


class Recorder:
    """The records of one run in its folder; use in a `with` block.

    With several processes each makes one and calls the same members in the same order; the first one writes.
    """

    def __init__(self, run: session.Session, folder: pathlib.Path, state: State) -> None:
        self._run = run
        self._folder = folder
        self._state = state
        self._guard = guard.Guard(run.recipe.guard, folder)
        self._meter = _Meter()

    def __enter__(self) -> Self:
        total, seen = (steps * self._run.images_per_step for steps in (self._run.steps, self._state.step))
        self._journal = journal.Journal(self._folder, seen) if ranks.first() else None
        off = None if ranks.first() else True
        self._bar = tqdm.tqdm(total=total, initial=seen, unit="img", disable=off, dynamic_ncols=True)
        self._meter.go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()
        if self._journal is not None:
            self._journal.close()

    def waiting_for(self, get: Callable[[], Anything]) -> Anything:
        """What `get` gives, the time that it takes counted as waiting for data."""
        since = time.perf_counter()
        found = get()
        self._meter.waited += time.perf_counter() - since
        return found

    def advance(self, images: int) -> None:
        """A step on so many images was made."""
        self._meter.images += images
        self._bar.update(images)

    def log(self, factor: float) -> None:
        """The mean losses since the last time, and how fast it goes."""
        losses = self._state.means()
        self._guard.losses(losses)
        speed, wait = self._meter.rates()
        if self._journal is None:
            return
        run, images = self._run, self._images
        rates = {name: each.param_groups[0]["lr"] for name, each in run.method.optimisers.items()}
        place = {"step": self._state.step, "epoch": images / run.data.epoch}
        settings = {"rate": rates, "rate_factor": factor, "provenance": run.method.provenance}
        pace = {"images_per_second": speed, "data_wait": wait}
        self._journal.write("train", images, place | {"loss": losses} | settings | pace)
        self._bar.set_postfix({**{name: f"{value:.3g}" for name, value in losses.items()}, "data wait": f"{wait:.0%}"})

    def validate(self, held_out: validation.HeldOut) -> None:
        """Scores of the network on held-out images, its sheet, and a checkpoint where it is the best so far."""
        with self._meter.paused():
            ranks.first_does(lambda: self._validate(held_out))

    def save(self, path: pathlib.Path, batch: method.Batch) -> None:
        """A checkpoint that a run can continue from, unless something is wrong with it: the last good one stays.

        `batch` is what the network is tried on.
        """
        with self._meter.paused():
            sums = ranks.mean(self._state.sums)
            since = {name: float(total) / self._state.summed for name, total in sums.items()}
            losses = since or self._state.latest
            self._guard.losses(losses)
            ranks.first_does(lambda: self._save(path, sums, losses, batch))

    @property
    def _images(self) -> int:
        return self._state.step * self._run.images_per_step

    def _validate(self, held_out: validation.HeldOut) -> None:
        assert self._journal is not None
        run, state = self._run, self._state
        torch.manual_seed(session.seed(run.recipe.seed, "validation"))
        with _as_validated(run):
            scores, rows = validation.evaluate(run.method, held_out, run.device)
        state.scores = {"protocol": validation.PROTOCOL, "images_seen": self._images} | dataclasses.asdict(scores)
        self._journal.write("validation", self._images, {**state.scores, "provenance": run.method.provenance})
        if run.recipe.output.sheet:
            self._show(rows)
        tqdm.tqdm.write(f"{self._images:,} images seen; {scores}")
        self._guard.score(scores.psnr, state.best, self._images)
        if math.isfinite(scores.psnr) and (state.best is None or scores.psnr > state.best):
            state.best = scores.psnr
            self._guard.weights(run.method.networks)
            self._write(self._folder / checkpoint.BEST, None)

    def _show(self, rows: list[validation.Row]) -> None:
        assert self._journal is not None
        wanted = self._run.recipe.output.sheet
        # Neighbours often come from one photo: the sheet shows images from all over.
        shown = rows[:: max(1, len(rows) // wanted)][:wanted]
        picture = sheets.sheet(
            [(row.blurred, row.restored, row.sharp) for row in shown],
            [
                (f"blurred, {row.blurred_psnr:.2f} dB", f"restored, {row.restored_psnr:.2f} dB", "sharp")
                for row in shown
            ],
        )
        photos.write_png(self._folder / run_folder.SHEETS / f"images-{self._images:012d}.png", picture)
        self._journal.picture("blurred, restored, sharp", self._images, picture)

    def _save(
        self, path: pathlib.Path, sums: Mapping[str, torch.Tensor], losses: Mapping[str, float], batch: method.Batch
    ) -> None:
        assert self._journal is not None
        self._guard.weights(self._run.method.networks)
        with _eagerly(self._run):
            self._guard.images(self._run.method, batch, losses, self._images)
        self._journal.sync()
        self._write(path, sums)

    def _write(self, path: pathlib.Path, sums: Mapping[str, torch.Tensor] | None) -> None:
        run, state = self._run, self._state
        about = checkpoint.About(
            recipe=recipe_file.to_toml(run.recipe),
            method=run.recipe.method_name,
            variant=str(run.recipe.method.model_dump().get("variant", "")),
            step=state.step,
            images_seen=self._images,
            datasets=run.data.describe(),
            provenance=run.method.provenance,
            metrics=state.scores,
            progress={
                "best": state.best,
                "summed": state.summed,
                "held_out": None if run.held_out is None else run.held_out.fingerprints,
            },
        )
        checkpoint.save(path, about, run.method, sums, None if run.average is None else run.average.weights)


@contextlib.contextmanager
def _as_validated(run: session.Session) -> Iterator[None]:
    """With the weights that the recipe validates."""
    average = run.average if run.recipe.validation.averaged else None
    if average is not None:
        average.exchange()
    try:
        with _eagerly(run):
            yield
    finally:
        if average is not None:
            average.exchange()


@contextlib.contextmanager
def _eagerly(run: session.Session) -> Iterator[None]:
    """Without compiling anew for whatever sizes validation images have."""
    if not run.recipe.engine.compile:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


class _Meter:
    """Images per second and the share of time spent waiting for data, validation and checkpoints apart."""

    def __init__(self) -> None:
        self.images = 0
        self.waited = 0.0
        self._spent = 0.0
        self._since = time.perf_counter()

    def go_on(self) -> None:
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._spent += time.perf_counter() - self._since
        try:
            yield
        finally:
            self.go_on()

    def rates(self) -> tuple[float, float]:
        """Both since the last call."""
        with self.paused():
            found = self.images / self._spent, self.waited / self._spent
            self.images, self.waited, self._spent = 0, 0.0, 0.0
        return found
