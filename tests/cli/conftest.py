"""Running commands in this process, as the console script would."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from blursynth import __main__ as entry


@dataclasses.dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> Run:
    """`run("trajectories", "--n", 10)` in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["blursynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            entry.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    """Twelve photos of three sizes; number 11 is cut short, 12 is too small for a crop of 64."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    draws = np.random.default_rng(0)
    for k in range(10):
        shape = [(80, 100), (100, 80), (90, 90)][k % 3]
        pixels = np.kron(draws.integers(0, 256, (shape[0] // 10, shape[1] // 10, 3)), np.ones((10, 10, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / ("more" if k % 2 else ".") / f"{k:02d}.png")
    noise = draws.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg", quality=95)
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(noise[:40, :40]).save(folder / "small.png")
    (folder / "notes.txt").write_text("not a photo")
    return folder
