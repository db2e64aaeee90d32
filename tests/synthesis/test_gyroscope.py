"""Recordings of a gyroscope: reading them, and the paths they give."""

import pathlib

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import transform

from blursynth import errors
from blursynth.makers import shake
from blursynth.synthesis import gyroscope


def write(path: pathlib.Path, rows: npt.NDArray[np.float64], head: str = "time,x,y,z") -> str:
    np.savetxt(path, rows, delimiter=",", header=head, comments="")
    return str(path)


def steady(rates: tuple[float, float, float], seconds: float = 2.0) -> npt.NDArray[np.float64]:
    times = np.arange(0, seconds, 0.005) + 100
    return np.column_stack([times, np.tile(rates, (len(times), 1))])


@pytest.mark.parametrize("rates", [(0.3, 0.0, 0.0), (0.1, -0.2, 0.4)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_steady_turn_is_a_rotation_about_one_axis(
    tmp_path: pathlib.Path, rates: tuple[float, float, float], scale: float
) -> None:
    """The scene turns against the camera: after t seconds by -w t."""
    log = gyroscope.read(write(tmp_path / "g.csv", steady(rates)))
    path = log.path(0.4, 0.3, 41, scale)
    times = np.linspace(-0.2, 0.2, 41)
    assert np.allclose(path[:, :3], -scale * np.outer(times, rates), atol=1e-9)
    assert not path[:, 3:].any()


def test_orientations_follow_a_fine_integration(tmp_path: pathlib.Path) -> None:
    times = np.arange(0, 1, 0.004)
    rates = np.column_stack([np.sin(7 * times), np.cos(5 * times), np.sin(3 * times + 1)]) * 2
    log = gyroscope.read(write(tmp_path / "g.csv", np.column_stack([times, rates])))
    path = log.path(0.5, 0.5, 33, 1.0)
    start = 0.5 * (log.duration - 0.5)
    orientation, found = transform.Rotation.identity(), []
    moments = start + 0.5 * np.arange(32_000 + 1) / 32_000
    for k, moment in enumerate(moments):
        if k % 1000 == 0:
            found.append(orientation)
        rate = [np.interp(moment + 0.25 / 32_000, times, rates[:, axis]) for axis in range(3)]
        orientation = transform.Rotation.from_rotvec(-np.array(rate) * 0.5 / 32_000) * orientation
    expected = np.stack([(each * found[16].inv()).as_rotvec() for each in found])
    assert np.abs(path[:, :3] - expected).max() < 1e-5


def test_words_and_remarks_are_passed_over(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "g.txt"
    path.write_text("# phone\nt x y z\n0 1 2 3\n\n0.05 1 2 3\n", encoding="utf-8")
    log = gyroscope.read(str(path))
    assert log.duration == 0.05
    assert log.rates.tolist() == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2,3\n0.02,1,2,3\n0.01,1,2,3\n",
        "time,x,y,z\n0,1,2,3\n0,1,2,3\n",
        "0,1,2\n0.01,1,2\n",
        "0,1,2,3\n0.01,1,nan,3\n",
        "0,1,2,3\n0.01,inf,2,3\n",
        "0,1,2,3\n0.01,a,2,3\n",
        "t,x,y,z\n",
        "t,x,y,z\nand,more,words,here\n0,1,2,3\n0.01,1,2,3\n",
        "",
    ],
)
def test_recordings_that_cannot_be_used(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "g.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(errors.InputError, match=r"g\.csv"):
        gyroscope.read(str(path))


def test_a_recording_that_is_too_short_or_gone(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "g.csv", steady((0.1, 0.0, 0.0), seconds=0.5))
    with pytest.raises(errors.InputError, match=r"lasts 0\.495 s, and an exposure with its readout takes up to 0\.8 s"):
        shake.maker("scenes:2", {"seed": 0, "size": 64, "gyro": path, "exposure": "0.1:0.4", "readout": 1.0})
    with pytest.raises(errors.SourceError, match="cannot be read"):
        shake.maker("scenes:2", {"seed": 0, "size": 64, "gyro": str(tmp_path / "none.csv"), "exposure": 0.1})


def test_pairs_of_a_recording(tmp_path: pathlib.Path) -> None:
    """Half a degree of pan at a focal length of 115 px and more."""
    path = write(tmp_path / "g.csv", steady((0.0, 0.5, 0.0)))
    maker = shake.maker("scenes:2", {"seed": 0, "size": 64, "gyro": path, "exposure": 0.1, "field_of_view": 60.0})
    made = maker.make(range(2))
    focal = made["focal_px"][0]
    assert made["motion_px"] == pytest.approx(focal * 0.05, rel=0.3)
    assert made["valid"].all()
    changed = write(tmp_path / "g.csv", steady((0.0, 0.6, 0.0)))
    again = shake.maker("scenes:2", {"seed": 0, "size": 64, "gyro": changed, "exposure": 0.1})
    assert again.recipe.gyro != maker.recipe.gyro


def test_a_recording_that_is_no_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "g.bin"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(errors.InputError, match="is not a text file"):
        gyroscope.read(str(path))


def test_what_contradicts_itself_is_refused(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "g.csv", steady((0.1, 0.2, 0.0)))
    with pytest.raises(errors.RecipeError, match="give one of them"):
        shake.maker("scenes:2", {"seed": 0, "size": 32, "gyro": path, "exposure": "0.1", "path": "gaussian"})
    still = {"rotation": 0, "roll": 0, "translation": 0, "forward": 0}
    with pytest.raises(errors.RecipeError, match="all 0"):
        shake.maker("scenes:2", {"seed": 0, "size": 32, "motion": "10", **still})
    shake.maker("scenes:2", {"seed": 0, "size": 32, "motion": "0", **still})
