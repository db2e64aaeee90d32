"""`python -m trainers.benchmark`: a line a setting, as text and as JSON."""

import itertools
import json
import pathlib
from collections.abc import Callable

import pytest

from trainers import benchmark, command_line
from trainers.training import timing

SMALL = [
    "--device",
    "cpu",
    "--threads",
    "1",
    "--steps",
    "1",
    "--repeats",
    "1",
    "--size",
    "16x16",
    "32x24",
    "--crop",
    "16",
    "--batch",
    "2",
]


@pytest.mark.slow
def test_every_setting_is_a_line_of_the_table_and_of_the_json(
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, written = make_pairs(tmp_path / "pairs.zarr"), tmp_path / "figures.json"
    options = [*SMALL, "--precision", "float32", "bfloat16", "--data", str(data), "--json", str(written)]
    assert command_line.exit_code(benchmark.main, ["smoke/deblurgan", *options]) == 0
    found = json.loads(written.read_text())
    settings = [(row["recipe"], row["precision"], row["batch"]) for row in found["rows"]]
    assert settings == [("smoke-deblurgan", precision, 2) for precision in ("float32", "bfloat16")]
    for row in found["rows"]:
        assert row["images_per_second"] > 0
        assert 0 <= row["data_wait"] < 1
        assert row["peak_bytes"] > 2**20
        assert row["restoring"].keys() == {"16x16", "32x24"}
        assert all(seconds > 0 for seconds in row["restoring"].values())
    out = capsys.readouterr().out
    assert out.count("smoke-deblurgan") == 2
    assert f"threads {1}" in out
    assert found["environment"]["torch"] in out


def test_settings_are_all_combinations() -> None:
    options = [
        "smoke/deblurgan",
        "smoke/demo",
        "--precision",
        "tf32",
        "bfloat16",
        "--compile",
        "both",
        "--batch",
        "1",
        "8",
    ]
    found = [
        (each.name, each.engine.precision, each.engine.compile, each.data.batch)
        for each in benchmark._settings(benchmark._parser().parse_args(options))
    ]
    names = ("smoke-deblurgan", "smoke-demo")
    assert found == list(itertools.product(names, ("tf32", "bfloat16"), (False, True), (1, 8)))
    default = next(benchmark._settings(benchmark._parser().parse_args(["deepdeblur"])))
    assert (default.data.batch, default.data.crop, default.validation.images) == (2, 256, 0)


@pytest.mark.parametrize("size", ["12", "x", "0x4", "3x4x5"])
def test_what_is_no_size_is_said(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["smoke/demo", "--size", size])
    assert f"'{size}' is not a size such as 1280x720" in capsys.readouterr().err


def test_a_setting_that_does_not_fit_is_a_line_that_says_so() -> None:
    small = timing.Row("small", "float32", False, 1, 1.5, None, 2**30, {"8x8": 0.1, "9x9": None})
    rows = [small, timing.Row("large", "float32", False, 64)]
    assert timing.table(rows).splitlines()[1].split() == ["small", "float32", "no", "1", "1.5", "-", "1.00", "0.1", "-"]
    assert timing.table(rows).splitlines()[2].split() == [
        "large", "float32", "no", "64", "out", "of", "memory", "-", "-", "-", "-",
    ]  # fmt: skip


def test_what_is_unknown_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.exit_code(benchmark.main, ["none", *SMALL]) == 2
    assert "no recipe file none" in capsys.readouterr().err
