"""The preset `lai` against the computation of Lai et al. 2016's public code, restated: one pose after another."""

import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tomli_w
from scipy.spatial import transform

from blursynth import errors
from blursynth.config import objects, toml
from blursynth.config import shake as shake_config
from blursynth.kernels import response
from blursynth.maintenance import verify
from blursynth.makers import shake as shaking
from blursynth.production import run
from blursynth.synthesis import crop, gyroscope, shake

Floats = npt.NDArray[np.float64]
PAD = 20
TABLE = response.decode_table("linear")


def recording(samples: int = 31) -> Floats:
    """Seconds and three rates in rad/s, every 0.01 s: a turn of several px about each axis."""
    times = np.arange(samples) * 0.01
    rates = np.column_stack([np.sin(9 * times + 1), 1.4 * np.cos(6 * times), 2 * np.sin(11 * times)])
    return np.column_stack([times, rates])


def interpolated(samples: Floats, portion: int) -> Floats:
    place = np.arange(0, (len(samples) - 1) * portion + 1) / portion
    return np.column_stack([np.interp(place, np.arange(len(samples)), column) for column in samples.T])


def theirs(photo: Floats, samples: Floats, portion: int) -> Floats:
    """`synthesize_nonuniform_blur` and `compute_Kpose_6D`, gyroscope alone: photo (H, W, 3), codes as they are.

    portion: samples that each recorded one is interpolated to; theirs is 3. Coordinates are (row, column), from 1.
    """
    padded = np.pad(photo, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
    height, width = padded.shape[:2]
    fine = interpolated(samples, portion)
    angles = np.cumsum(fine[1:, 1:] * np.diff(fine[:, 0])[:, None], axis=0)
    poses = -(angles - angles[0]) * 0.5
    focal = max(height, width)
    intrinsics = np.array([[focal, 0, height / 2], [0, focal, width / 2], [0, 0, 1]])
    rows, columns = np.mgrid[1 : height + 1, 1 : width + 1]
    places = np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
    total = np.zeros_like(padded)
    for pose in poses:
        matrix = intrinsics @ transform.Rotation.from_rotvec(pose).as_matrix() @ np.linalg.inv(intrinsics)
        row, column, scale = np.linalg.inv(matrix) @ places
        row, column = row / scale, column / scale
        for down in (0, 1):
            for right in (0, 1):
                r, c = np.floor(row) + down, np.floor(column) + right
                weight = (1 - np.abs(row - r)) * (1 - np.abs(column - c))
                inside = (r >= 1) & (r <= height) & (c >= 1) & (c <= width)  # nothing lies beyond
                r, c = (np.where(inside, each, 1).astype(int) - 1 for each in (r, c))
                total += (np.where(inside, weight, 0)[:, None] * padded[r, c]).reshape(padded.shape)
    return (total / len(poses))[PAD:-PAD, PAD:-PAD]


def request(**values: Any) -> shake_config.Shake:
    recorded = {"preset": "lai", "gyro": "0" * 64, "exposure": "0.3"}
    return toml.build(recorded | values, shake_config.Shake)


def ours(photo: npt.NDArray[np.uint8], samples: Floats, **values: Any) -> tuple[Floats, shake.Shaken]:
    """The whole photo, light of 0 to 255, blurred by the whole recording."""
    asked = request(exposure=str(samples[-1, 0] - samples[0, 0]), **values)
    log = gyroscope.Log(samples[:, 0], samples[:, 1:], "0" * 64)
    path = shake.paths(asked, 0, np.array([0]), log).path_NK6[0]
    whole = crop.Crop(photo, 0, 0, *photo.shape[:2])
    done = shake.blur(asked, whole, path, 1.0, None, TABLE)
    return done.light_HWC.astype(np.float64) * 255, done


@pytest.mark.parametrize("size", [(48, 64), (65, 49)])
def test_a_recording_blurs_as_in_their_code(size: tuple[int, int]) -> None:
    """Exactly so with steps so short that their poses make a continuous path, as ours is; with theirs of 1/300 s on
    the content that shows it most, squares of 4 px at random, still within two levels on average."""
    squares = np.random.default_rng(1).integers(0, 256, (size[0] // 4 + 1, size[1] // 4 + 1, 3)).astype(np.uint8)
    photo = squares.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]]
    apart = {}
    for portion in (3, 40):
        # Their first pose is that of the second sample.
        since_the_second = interpolated(recording(), portion)[1:]
        found, done = ours(photo, since_the_second)
        assert 10 < done.motion < 60
        assert done.view.focal == pytest.approx(max(size) + 2 * PAD)
        expected = theirs(photo.astype(np.float64), recording(), portion)
        apart[portion] = np.abs(found - expected)
    assert apart[40].max() < 2
    assert apart[40].mean() < 0.15 < apart[3].mean() < 2
    # The conventions of a photo that is not Lai's are others.
    plain, _ = ours(photo, since_the_second, convention=None)
    assert np.abs(plain - expected).mean() > 5


def test_beyond_twenty_pixels_there_is_nothing() -> None:
    """A white photo stays white where the path reads from the repeated edges, and darkens where it reads beyond."""
    white = np.full((80, 80, 3), 255, np.uint8)
    samples = np.column_stack([np.arange(31) * 0.01, np.zeros(31), np.full(31, 1.6), np.zeros(31)])
    found, done = ours(white, samples)
    assert done.motion > PAD + 5
    assert found.max() == pytest.approx(255, abs=0.01)
    assert found.min() < 240
    assert np.abs(found - theirs(white.astype(np.float64), samples, 40)).max() < 2


def test_a_crop_is_that_part_of_the_whole_photo() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    asked, samples = request(), recording()
    path = shake.paths(asked, 0, np.array([0]), gyroscope.Log(samples[:, 0], samples[:, 1:], "")).path_NK6[0]
    whole = shake.blur(asked, crop.Crop(photo, 0, 0, 70, 90), path, 1.0, None, TABLE).light_HWC
    part = shake.blur(asked, crop.Crop(photo, 0, 30, 60, 60), path, 1.0, None, TABLE).light_HWC
    assert np.abs(part - whole[:60, 30:]).max() < 0.02  # its moments are others


def test_padding_is_the_obvious_one() -> None:
    photo = np.random.default_rng(3).integers(1, 256, (12, 15, 3)).astype(np.uint8)
    around = np.pad(np.pad(photo, ((4, 4), (4, 4), (0, 0)), mode="edge"), ((30, 30), (30, 30), (0, 0)))
    for top, left, height, width in ((0, 0, 12, 15), (3, 5, 8, 8), (4, 0, 8, 9)):
        for margin in (0, 2, 6, 20):
            found = crop.Crop(photo, top, left, height, width).padded(margin, 4)
            rows = slice(34 + top - margin, 34 + top + height + margin)
            columns = slice(34 + left - margin, 34 + left + width + margin)
            assert np.array_equal(found, around[rows, columns])


# What is recorded


def test_poses_are_relative_to_the_first_one_unless_another_target_is_asked_for() -> None:
    samples = recording()
    log = gyroscope.Log(samples[:, 0], samples[:, 1:], "")
    for values, knot in (({}, 0), ({"target": "middle"}, 128)):
        path = shake.paths(request(**values), 0, np.array([0]), log).path_NK6[0]
        assert not path[knot].any()
        assert path[-1].any()
    # A recording that is not Lai's is relative to its middle, or to the first moment where that is asked for.
    other = toml.build({"gyro": "0" * 64, "exposure": "0.3", "gyro_reference": "target"}, shake_config.Shake)
    first = other.model_copy(update={"target": "first"})
    assert not shake.paths(first, 0, np.array([0]), log).path_NK6[0, 0].any()


def test_the_target_of_a_recording_is_honoured(tmp_path: pathlib.Path) -> None:
    np.savetxt(tmp_path / "g.csv", recording(), delimiter=",", header="time,x,y,z", comments="")
    options = {"seed": 0, "size": 64, "gyro": str(tmp_path / "g.csv"), "exposure": "0.1", "per_photo": 1}
    for values, knot in (({}, 127), ({"target": "first"}, 0)):
        asked, _ = shaking.requested(options | values, shake_config.Shake)
        path = shake.paths(asked, 0, np.array([3]), gyroscope.read(options["gyro"])).path_NK6[0]  # type: ignore[arg-type]
        assert not path[knot].any()
        assert path[255 - knot].any()


def test_old_records_of_the_preset_keep_their_meaning(tmp_path: pathlib.Path) -> None:
    """A dataset without the new key was made with the photo's own focal length and reflected edges."""
    options = {"seed": 3, "size": 48, "preset": "lai", "target": "middle", "motion": "3:9", "splits": "train=1"}
    now = shaking.maker("scenes:2", options | {"target": None})
    assert (now.recipe.convention, now.recipe.target) == ("lai", "first")
    record = now.record()
    tables = json.loads(now.recipe.model_dump_json(exclude_none=True))
    again = shaking.from_record(record, 2, {"photos": "scenes:2"})
    assert again.recipe == now.recipe
    old = tables | {"target": "middle"}
    del old["convention"]
    record = type(record)(**{**vars(record), "recipe_toml": tomli_w.dumps(old)})
    before = shaking.from_record(record, 2, {"photos": "scenes:2"})
    assert (before.recipe.convention, before.recipe.target) == (None, "middle")
    focal = [maker.make(range(2))["focal_px"][0] for maker in (now, before)]
    assert focal[0] == focal[1] + 2 * PAD
    # And what they make is what their record says.
    out = tmp_path / "old.zarr"
    run.produce(before, out)
    assert "convention" not in json.loads((out / "zarr.json").read_text())["attributes"]["blursynth"]["recipe"]
    assert not verify.verify(str(out)).findings


def test_several_planes_have_no_such_convention() -> None:
    for model, values in ((shake_config.Shake, {"depth_maps": {}}), (objects.Objects, {})):
        asked = toml.build({"preset": "lai", "size": 64, **values}, model)
        assert (asked.convention, asked.target) == (None, "middle")
        with pytest.raises(errors.RecipeError, match="convention"):
            toml.build({"size": 128, **values, "convention": "lai"}, model)
