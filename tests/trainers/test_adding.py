"""CONTRIBUTING.md's method, metric and protocol, each a file and a registry line, as they stand there."""

import importlib
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from trainers import methods, metrics, protocols, recipe
from trainers.checkpoints import checkpoint, safe_file
from trainers.inference import restorer
from trainers.metrics import catalogue
from trainers.training import dry_run, loop, run_folder, session

CPU = torch.device("cpu")
TEXT = pathlib.Path(__file__).resolve().parents[2].joinpath("CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(?:py|text)\n# (.*?)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))


@pytest.fixture
def added(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ModuleType, str], ModuleType]]:
    """A function that adds the file of that name in CONTRIBUTING.md to a package, and imports it."""
    names = []

    def add(package: ModuleType, name: str) -> ModuleType:
        file = next(path for path in BLOCKS if path.endswith(f"/{name}.py"))
        assert pathlib.Path(file).parent.as_posix() == package.__name__.replace(".", "/")
        (tmp_path / f"{name}.py").write_text(BLOCKS[file], encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        names.append((package, name))
        return importlib.import_module(f"{package.__name__}.{name}")

    yield add
    for package, name in names:
        del sys.modules[f"{package.__name__}.{name}"]
        delattr(package, name)


def registry_line(registry: str) -> str:
    return next(line for title, line in BLOCKS.items() if f" of {registry} in trainers/" in title)


def test_a_method_is_trained_resumed_and_restored_with(
    added: Callable[..., ModuleType],
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added(methods, "residual_cnn")
    line = eval(f"{{{registry_line('CLASSES')}}}")
    monkeypatch.setattr(methods, "CLASSES", MappingProxyType({**methods.CLASSES, **line}))
    data = make_pairs(tmp_path / "pairs.zarr")

    def start(folder: str, images: int) -> session.Session:
        sections: dict[str, Any] = {
            "name": "test",
            "data": {"train": [{"path": str(data)}], "batch": 2, "crop": 8},
            "method": {"name": "residual-cnn", "width": 4},
            "schedule": {"clock": "images", "constant": 12},
            "engine": {"accumulation_steps": 2, "ema_decay": 0.9},
            "validation": {"every": 6, "images": 1},
            "output": {"folder": str(tmp_path / folder), "log_every": 2, "checkpoint_every": images, "sheet": 0},
        }
        config = recipe.parse(tomli_w.dumps(sections))
        run_folder.create(config.folder, config)
        return session.start(config, CPU)

    whole = start("run", 4)
    assert "Residual CNN" in dry_run.describe(whole.recipe, CPU, overwrite=True).text
    assert loop.train(whole, tmp_path / "run").finished
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if line["kind"] == "train"] == [2, 4, 6, 8, 10, 12]
    assert all(set(line["loss"]) == {"pixel"} for line in lines if line["kind"] == "train")

    stopped = start("stopped", 4)
    step, taken = stopped.method.step, []

    def interrupted(batches: Any) -> dict[str, torch.Tensor]:
        taken.append(batches)
        if len(taken) == 4:
            raise MemoryError
        return step(batches)

    monkeypatch.setattr(stopped.method, "step", interrupted)
    with pytest.raises(MemoryError):
        loop.train(stopped, tmp_path / "stopped")
    assert loop.train(start("stopped", 4), tmp_path / "stopped").finished
    ours, theirs = (safe_file.read(tmp_path / folder / checkpoint.LAST) for folder in ("stopped", "run"))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
    network = restorer.load(tmp_path / "run", CPU)
    assert restorer.Restorer(network, CPU, restorer.Limits())(torch.rand(1, 3, 9, 7)).shape == (1, 3, 9, 7)


def test_a_metric_is_computed_by_its_name(added: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    mae = added(metrics, "mae")
    line = eval(f"{{{registry_line('METRICS')}}}", {"Metric": catalogue.Metric, "mae": mae})
    monkeypatch.setattr(catalogue, "METRICS", MappingProxyType({**catalogue.METRICS, **line}))
    sharp = np.random.default_rng(0).integers(0, 200, (12, 10, 3), dtype=np.uint8)
    scored = protocols.find("gopro-rgb").score(sharp + np.uint8(5), [sharp], ["psnr", "mae"], CPU)
    assert scored.values == pytest.approx(dict.fromkeys(["psnr", "mae"], 20 * np.log10(255 / 5)), rel=1e-6)


def test_a_protocol_scores_as_it_says(added: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    central = added(protocols, "central")
    (module,) = eval(f"({registry_line('MODULES')})", {"central": central})
    known = {each.name: each for each in module.PROTOCOLS}
    monkeypatch.setattr(protocols, "PROTOCOLS", MappingProxyType({**protocols.PROTOCOLS, **known}))
    each = protocols.find("central-rgb")
    assert each.label == "central-rgb v1"
    sharp = np.random.default_rng(1).integers(0, 256, (48, 60, 3), dtype=np.uint8)
    restored = np.random.default_rng(2).integers(0, 256, sharp.shape, dtype=np.uint8)
    inner = np.s_[16:-16, 16:-16]
    expected = 10 * np.log10(255**2 / np.mean((restored[inner].astype(float) - sharp[inner]) ** 2))
    assert each.score(restored, [sharp], ["psnr"], CPU).values["psnr"] == pytest.approx(expected, rel=1e-6)
