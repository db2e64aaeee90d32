"""Record a run while it trains: log, progress bar, validations with sample sheets, checkpoints."""

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

from blursynth.config import toml
from blursynth.media import photos
from trainers import distributed, seeding
from trainers.checkpoints import checkpoint
from trainers.inference import contact_sheet, eight_bit
from trainers.methods import method
from trainers.training import data, divergence, log, run_folder, session, validation

Anything = TypeVar("Anything")


@dataclasses.dataclass
class State:
    """The progress of a run besides weights and optimisers. `sums` are losses since the last log line."""

    step: int = 0
    best: float | None = None
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    sums: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    summed: int = 0
    latest: dict[str, float] = dataclasses.field(default_factory=dict)
    """The mean losses that were logged last."""

    def add(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Add losses on the device: fetching a number here would make the host wait at every step."""
        for name, loss in losses.items():
            # A new tensor each time, never the method's own; float64, so that long intervals lose nothing.
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss.to(torch.float64, copy=True)
        self.summed += 1

    def means(self) -> dict[str, float]:
        """Return the mean losses since the last call, over all processes."""
        means = {name: float(total) / self.summed for name, total in distributed.mean(self.sums).items()}
        self.sums, self.summed, self.latest = {}, 0, means
        return means


class Recorder:
    """Records one run in its folder; use in a `with` block.

    With several processes each has one and calls the same members in the same order; the first one writes.
    """

    def __init__(self, run: session.Session, folder: pathlib.Path, state: State) -> None:
        self._run = run
        self._folder = folder
        self._state = state
        self._checks = divergence.Checks(run.recipe.divergence, folder)
        self._meter = _Meter()

    def __enter__(self) -> Self:
        total, seen = (steps * self._run.images_per_step for steps in (self._run.steps, self._state.step))
        self._log = log.Log(self._folder, seen) if distributed.first() else None
        off = None if distributed.first() else True
        self._bar = tqdm.tqdm(total=total, initial=seen, unit="img", disable=off, dynamic_ncols=True)
        self._meter.go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()
        if self._log is not None:
            self._log.close()

    def show_fed(self) -> None:
        """Write a sheet of the next pairs as the network gets them: cut, turned and noisy."""
        run, count = self._run, 2 * self._run.recipe.output.sheet
        if self._log is None or not count:
            return
        drawn = run.data.sample(self._state.step * run.pairs_per_step, count)
        (fed,) = data.batches(run.recipe.data, drawn, count, torch.device("cpu"))
        rows = [
            [eight_bit.to_image(images_NCHW[k : k + 1]) for images_NCHW in (fed.blurred_NCHW, fed.sharp_NCHW)]
            for k in range(count)
        ]
        picture = contact_sheet.sheet(rows, [("fed: blurred", "fed: sharp")] * count)
        photos.write_png(self._folder / run_folder.SHEETS / f"fed-{self._images:012d}.png", picture)

    def waiting_for(self, get: Callable[[], Anything]) -> Anything:
        """Call `get`, and count its time as waiting for data."""
        since = time.perf_counter()
        result = get()
        self._meter.waited += time.perf_counter() - since
        return result

    def advance(self, images: int) -> None:
        """Count a step of this many images."""
        self._meter.images += images
        self._bar.update(images)

    def log(self, factor: float) -> None:
        """Log the mean losses since the last time, learning rates and speed."""
        losses = self._state.means()
        self._checks.losses(losses)
        speed, wait = self._meter.rates()
        if self._log is None:
            return
        run, images = self._run, self._images
        rates = {name: each.param_groups[0]["lr"] for name, each in run.method.optimisers.items()}
        place = {"step": self._state.step, "epoch": images / run.data.epoch}
        settings = {"rate": rates, "rate_factor": factor, "provenance": run.method.provenance}
        pace = {"images_per_second": speed, "data_wait": wait}
        self._log.write("train", images, place | {"loss": losses} | settings | pace)
        self._bar.set_postfix({**{name: f"{value:.3g}" for name, value in losses.items()}, "data wait": f"{wait:.0%}"})

    def validate(self, held_out: validation.HeldOut) -> None:
        """Score held-out images, write their sheet, and a checkpoint where they are the best so far."""
        with self._meter.paused():
            distributed.first_does(lambda: self._validate(held_out))

    def save(self, path: pathlib.Path, batch: method.Batch) -> None:
        """Write a checkpoint to continue from, unless the divergence checks fail on `batch`.

        The last good checkpoint stays where they do.
        """
        with self._meter.paused():
            sums = distributed.mean(self._state.sums)
            since = {name: float(total) / self._state.summed for name, total in sums.items()}
            losses = since or self._state.latest
            self._checks.losses(losses)
            distributed.first_does(lambda: self._save(path, sums, losses, batch))

    @property
    def _images(self) -> int:
        return self._state.step * self._run.images_per_step

    def _validate(self, held_out: validation.HeldOut) -> None:
        assert self._log is not None
        run, state = self._run, self._state
        torch.manual_seed(seeding.seed(run.recipe.seed, "validation"))
        with _as_validated(run):
            scores, rows = validation.evaluate(run.method, held_out, run.device)
        state.scores = {"protocol": validation.PROTOCOL, "images_seen": self._images} | dataclasses.asdict(scores)
        self._log.write("validation", self._images, {**state.scores, "provenance": run.method.provenance})
        if run.recipe.output.sheet:
            self._show(rows)
        tqdm.tqdm.write(f"{self._images:,} images seen; {scores}")
        self._checks.score(scores.psnr, state.best, self._images)
        if math.isfinite(scores.psnr) and (state.best is None or scores.psnr > state.best):
            state.best = scores.psnr
            self._checks.weights(run.method.networks)
            self._write(self._folder / checkpoint.BEST, None)

    def _show(self, rows: list[validation.Row]) -> None:
        assert self._log is not None
        count = self._run.recipe.output.sheet
        # Neighbours often come from one photo: the sheet shows images from all over.
        shown = rows[:: max(1, len(rows) // count)][:count]
        picture = contact_sheet.sheet(
            [(row.blurred, row.restored, row.sharp) for row in shown],
            [
                (f"blurred, {row.blurred_psnr:.2f} dB", f"restored, {row.restored_psnr:.2f} dB", "sharp")
                for row in shown
            ],
        )
        photos.write_png(self._folder / run_folder.SHEETS / f"images-{self._images:012d}.png", picture)
        self._log.picture("blurred, restored, sharp", self._images, picture)

    def _save(
        self, path: pathlib.Path, sums: Mapping[str, torch.Tensor], losses: Mapping[str, float], batch: method.Batch
    ) -> None:
        assert self._log is not None
        self._checks.weights(self._run.method.networks)
        with _eagerly(self._run):
            self._checks.images(self._run.method, batch, losses, self._images)
        self._log.sync()
        self._write(path, sums)

    def _write(self, path: pathlib.Path, sums: Mapping[str, torch.Tensor] | None) -> None:
        run, state = self._run, self._state
        about = checkpoint.About(
            recipe=toml.to_toml(run.recipe),
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
        checkpoint.save(path, about, run.method, sums, None if run.ema is None else run.ema.weights)


@contextlib.contextmanager
def _as_validated(run: session.Session) -> Iterator[None]:
    """Give the network the weights that the recipe validates."""
    ema = run.ema if run.recipe.validation.averaged else None
    if ema is not None:
        ema.swap()
    try:
        with _eagerly(run):
            yield
    finally:
        if ema is not None:
            ema.swap()


@contextlib.contextmanager
def _eagerly(run: session.Session) -> Iterator[None]:
    """Run without compiling again for every size of a validation image."""
    if not run.recipe.engine.compile:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


class _Meter:
    """Images per second and the share of time waiting for data, without validations and checkpoints."""

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
        """Return both since the last call."""
        with self.paused():
            rates = self.images / self._spent, self.waited / self._spent
            self.images, self.waited, self._spent = 0, 0.0, 0.0
        return rates
