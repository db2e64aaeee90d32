"""Kernels of the user: what files and datasets say is read as it stands, or refused; pairs draw one each."""

import io
import pathlib
import pickle
import shutil
from typing import Any

import kinds
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
from PIL import Image

from blursynth import errors
from blursynth.config import toml
from blursynth.kernels import response
from blursynth.loading import stream
from blursynth.maintenance import replay, verify
from blursynth.makers import convolve, dataset_recipe, kernel_files, psfs, recorded_recipe, registry
from blursynth.production import run
from blursynth.storage import reader
from blursynth.synthesis import own_kernels

LINE = np.array([[0.1, 0.2, 0.3, 0.4]])
CORNER = np.array([[0.5, 0.0], [0.25, 0.25]])


def write(path: pathlib.Path, *kernels: np.ndarray, **named: Any) -> str:
    """A file of kernels, of the form that its ending says."""
    if path.suffix == ".npy":
        np.save(path, kernels[0])
    elif path.suffix == ".npz":
        np.savez(path, *kernels, **named)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, named)
    else:
        Image.fromarray(kernels[0]).save(path)
    return str(path)


def cells(*kernels: np.ndarray) -> np.ndarray:
    found = np.empty((1, len(kernels)), object)
    found[0, :] = kernels
    return found


def opened(path: str, normalise: bool = False) -> np.ndarray:
    kernels = kernel_files.open_(path, normalise=normalise)
    return kernels.read(np.arange(kernels.count), kernels.side)


def test_every_form_says_the_same(tmp_path: pathlib.Path) -> None:
    stack = np.stack([CORNER, CORNER.T])
    paths = [
        write(tmp_path / "a.npy", stack),
        write(tmp_path / "a.npz", CORNER, CORNER.T),
        write(tmp_path / "b.npz", kernels=stack, other=np.zeros(3)),
        write(tmp_path / "a.mat", kernels=np.moveaxis(stack, 0, -1), x=np.zeros((9, 9))),
        write(tmp_path / "b.mat", psf=cells(CORNER, CORNER.T)),
    ]
    first, *others = map(opened, paths)
    assert first.shape == (2, 3, 3)
    assert first.dtype == np.float32
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_the_centre_is_pixel_half_the_side_also_of_even_sides(tmp_path: pathlib.Path) -> None:
    for rows in (1, 2, 3, 4, 5, 8):
        for columns in (1, 2, 3, 6):
            kernel = np.zeros((rows, columns))
            kernel[rows // 2, columns // 2] = 1
            (found,) = opened(write(tmp_path / "k.npy", kernel))
            side = found.shape[0]
            assert side % 2 == 1
            assert side == max(3, 2 * max(rows // 2, columns // 2) + 1)
            assert np.argwhere(found).tolist() == [[side // 2, side // 2]]
    (line,) = opened(write(tmp_path / "k.npy", LINE))
    np.testing.assert_allclose(line, [[0] * 5, [0] * 5, [0.1, 0.2, 0.3, 0.4, 0], [0] * 5, [0] * 5], atol=1e-7)


def test_other_sums_are_refused_unless_they_are_to_be_scaled(tmp_path: pathlib.Path) -> None:
    weights = (LINE * 100).astype(np.uint8)
    for path in (
        write(tmp_path / "a.png", weights),
        write(tmp_path / "a.npy", weights),
        write(tmp_path / "b.npy", LINE * 1.005),
        write(tmp_path / "a.mat", k=weights),
        write(tmp_path / "b.png", weights.astype(np.uint16) * 300),
        write(tmp_path / "c.png", np.repeat(weights[..., None], 3, axis=2)),
    ):
        with pytest.raises(errors.InputError):
            kernel_files.open_(path, normalise=False)
        (found,) = opened(path, normalise=True)
        np.testing.assert_allclose(found[2, :4], LINE[0], atol=1e-7)
    half = opened(write(tmp_path / "half.npy", np.full((7, 7), 1 / 49, np.float16)))  # rounding is no other sum
    assert abs(float(half.sum(dtype=np.float64)) - 1) < 1e-6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", np.array([[0.5, np.nan]])),
        ("a.npy", np.array([[1.5, -0.5]])),
        ("a.npy", np.array([[np.inf, 1]])),
        ("a.npy", np.zeros((3, 3))),
        ("a.npy", np.full(4, 0.25)),
        ("a.npy", np.full((1, 1, 2, 2), 0.25)),
        ("a.npy", np.array([[1j]])),
        ("a.npy", np.array([["1"]])),
        ("a.npy", np.zeros((0, 3))),
        ("a.npy", np.zeros((0, 3, 3))),
        ("a.npy", np.full((1, 5000), 1 / 5000)),
        ("a.png", np.dstack([np.eye(3), np.eye(3), np.ones((3, 3))]).astype(np.uint8)),
        ("a.png", np.full((3, 3, 4), 9, np.uint8)),
    ],
)
def test_what_is_no_kernel_is_refused(tmp_path: pathlib.Path, name: str, content: np.ndarray) -> None:
    with pytest.raises(errors.InputError):
        kernel_files.open_(write(tmp_path / name, content), normalise=True)


def test_files_that_are_none_are_refused(tmp_path: pathlib.Path) -> None:
    file = io.BytesIO()
    np.save(file, LINE)
    pickled = io.BytesIO()
    np.save(pickled, cells(LINE), allow_pickle=True)
    for name, content in {
        "cut.npy": file.getvalue()[:-1],
        "more.npy": file.getvalue() + b"\0",
        "pickled.npy": pickled.getvalue(),
        "text.npy": b"0.1,0.2",
        "text.npz": b"PK\3\4",
        "text.mat": b"0.1,0.2",
        "new.mat": b"\x89HDF\r\n\x1a\n" + bytes(600),
        "text.png": b"\x89PNG\r\n\x1a\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(errors.InputError):
            kernel_files.open_(str(tmp_path / name), normalise=True)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(errors.InputError):
        kernel_files.open_(str(tmp_path / "folder.npy"), normalise=True)
    with pytest.raises(errors.SourceError):
        kernel_files.open_(str(tmp_path / "none.npy"), normalise=True)


def asked(folder: pathlib.Path, **options: Any) -> convolve.ConvolveMaker:
    return convolve.maker(str(kinds.photos(folder / "photos")), {"seed": 4, "size": 24, "per_photo": 9, **options})


def test_pairs_are_blurred_by_a_kernel_each(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "k.npz", LINE, CORNER)
    maker = asked(tmp_path, kernels=path, transfer="linear")
    run.produce(maker, tmp_path / "a.zarr")
    assert verify.verify(tmp_path / "a.zarr").sound
    assert replay.replay(tmp_path / "a.zarr", 5).equal
    data = reader.open(tmp_path / "a.zarr")
    number, psf = data.columns["kernel"], data.read("psf", range(len(data)))
    assert "exposure" not in data.columns
    assert 0.3 < number.mean() < 0.7
    canvas = opened(path)
    np.testing.assert_array_equal(psf, canvas[number])
    np.testing.assert_array_equal(number, own_kernels.choose(4, data.item_numbers, 2))
    sharp, blurred = (data.read(name, range(len(data))).astype(np.float64) for name in ("sharp", "blurred"))
    inner = slice(3, -3)
    for k in range(4):
        expected = scipy.ndimage.convolve(sharp[k], psf[k][..., None].astype(np.float64))
        assert np.abs(expected - blurred[k])[inner, inner].max() <= 0.51


def test_streams_have_the_kernels_of_stored_items(tmp_path: pathlib.Path) -> None:
    run.produce(psfs.maker(kinds.paths(tmp_path), {"size": 34}), tmp_path / "psfs.zarr")
    for kernels in (write(tmp_path / "k.npz", LINE, CORNER), str(tmp_path / "psfs.zarr")):
        maker = asked(tmp_path, kernels=kernels)
        flow = pickle.loads(pickle.dumps(stream.Stream(maker, threads=2)))
        made = maker.make(range(20))
        for item in (7, 0, 19):
            one = flow[item]
            assert one.keys() == made.keys()
            assert all(np.array_equal(one[name], made[name][item]) for name in made)


def test_a_recorded_recipe_makes_the_same_bytes(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "k.npy", LINE * 2)
    run.produce(asked(tmp_path, kernels=path, normalise=True, psf_size=9), tmp_path / "a.zarr")
    data = reader.open(tmp_path / "a.zarr")
    (tmp_path / "a.toml").write_text(recorded_recipe.text(data))
    (entry,) = dataset_recipe.load(str(tmp_path / "a.toml"))
    again = registry.start(entry.command, entry.sources, entry.settings)
    run.produce(again, tmp_path / "b.zarr")
    assert reader.open(tmp_path / "b.zarr").fingerprint == data.fingerprint


def test_the_file_is_the_recorded_one_or_is_refused(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "k.npy", LINE)
    run.produce(asked(tmp_path, kernels=path), tmp_path / "a.zarr")
    shutil.move(path, tmp_path / "moved.npy")
    assert replay.replay(tmp_path / "a.zarr", 0, moved={"kernels": str(tmp_path / "moved.npy")}).equal
    write(tmp_path / "k.npy", LINE[:, ::-1])
    with pytest.raises(errors.SourceError):
        replay.replay(tmp_path / "a.zarr", 0)


def test_a_dataset_of_psfs_is_taken_as_it_is(tmp_path: pathlib.Path) -> None:
    run.produce(psfs.maker(kinds.paths(tmp_path), {"exposures": "0.5,1", "size": 34}), tmp_path / "psfs.zarr")
    maker = asked(tmp_path, kernels=str(tmp_path / "psfs.zarr"))
    assert maker.recipe.psf_size == 35
    made = maker.make(range(5))
    stored = reader.open(tmp_path / "psfs.zarr").read("psf", made["kernel"])
    np.testing.assert_array_equal(made["psf"][:, :34, :34], stored)
    assert not made["psf"][:, 34].any()
    assert len(np.unique(maker.make(range(63))["kernel"])) > 30
    with pytest.raises(errors.DatasetError):
        asked(tmp_path, trajectories=str(tmp_path / "psfs.zarr"))
    with pytest.raises(errors.DatasetError):
        asked(tmp_path, kernels=str(tmp_path / "paths.zarr"))


@pytest.mark.parametrize(
    "options",
    [{"length": 5}, {"exposure": 1}, {"field": "2x2"}, {"angle": 5}, {"psf_size": 3}, {"preset": "deblurgan"}],
)
def test_options_that_change_nothing_are_refused(tmp_path: pathlib.Path, options: dict[str, Any]) -> None:
    with pytest.raises(errors.RecipeError):
        asked(tmp_path, kernels=write(tmp_path / "k.npy", LINE), **options)
    with pytest.raises(errors.RecipeError):
        asked(tmp_path, normalise=True)


def test_straight_motion_has_the_angle_and_length_that_are_given() -> None:
    maker = convolve.maker("scenes:8", {"size": 64, "length": 20, "angle": "30,120", "seed": 3, "transfer": "linear"})
    made = maker.make(range(8))
    assert (made["anxiety"] == 0).all()
    assert set(np.round(np.degrees(made["angle"]), 4).tolist()) == {30.0, 120.0}
    grid = np.arange(maker.recipe.psf_size) - maker.recipe.psf_size // 2
    for psf, angle in zip(made["psf"].astype(np.float64), made["angle"], strict=True):
        x, y = grid[None, :] * np.ones_like(psf), grid[:, None] * np.ones_like(psf)
        along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
        assert (psf * along**2).sum() == pytest.approx(20**2 / 12, rel=0.02)  # of an even line of 20 px
        assert (psf * across**2).sum() < 0.3  # what is shared between neighbouring pixels
    recipe = toml.to_toml(convolve.request({"size": 64}))
    assert "angle" not in recipe
    assert "kernels" not in recipe


def test_encoded_values_are_blurred_in_linear_intensity(tmp_path: pathlib.Path) -> None:
    """A kernel of two halves puts the mean of two intensities between two pixels."""
    maker = asked(tmp_path, kernels=write(tmp_path / "k.npy", np.array([[0.5, 0.5]])))
    made = maker.make(range(1))
    light = response.decode_table("gamma2.2").astype(np.float64)[made["sharp"][0]]
    mean = (light[:, :-1] + light[:, 1:]) / 2  # the kernel's second pixel is its centre: half comes from the right
    expected = 255 * mean ** (1 / 2.2)
    assert np.abs(expected - made["blurred"][0][:, :-1].astype(np.float64)).max() <= 0.51
