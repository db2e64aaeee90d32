"""The commands as users type them: what they make, what they print, and the sentence for everything that goes wrong."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blursynth.media import photos as media
from blursynth.storage import reader

Run = Callable[..., Any]  # the fixture of conftest.py


def assert_sentence(result: Any, *fragments: str) -> None:
    """Exit code 2 and one short message on standard error, no traceback, with these words in it."""
    assert result.code == 2, result
    message = result.err
    assert "Traceback" not in message
    for fragment in fragments:
        assert fragment in message, message


def test_trajectories_then_psfs_then_preview(run: Run, tmp_path: pathlib.Path) -> None:
    made = run("trajectories", "--n", 100, "--seed", 3)
    assert (made.code, "100 paths" in made.out) == (0, True)
    again = run("trajectories", "--n", 100, "--seed", 3)
    assert "trajectories.zarr is complete already: 100 paths." in again.out
    assert run("psfs", "trajectories.zarr", "--exposures", "0.1,0.5,1").code == 0
    psfs = reader.open("trajectories-psfs.zarr")
    assert psfs.items == 300
    kernels = psfs.read("psf", range(300))
    assert np.abs(kernels.sum((1, 2), dtype=np.float64) - 1).max() < 1e-6
    assert psfs.columns["trajectory"].tolist() == [k // 3 for k in range(300)]
    assert np.allclose(psfs.columns["exposure"], [0.1, 0.5, 1.0] * 100)
    for dataset in ("trajectories", "trajectories-psfs"):
        assert run("preview", f"{dataset}.zarr", "--count", 5).code == 0
        assert media.read(tmp_path / f"{dataset}.png").std() > 5
        assert "(complete)" in run("info", f"{dataset}.zarr").out


def test_convolve_leaves_out_what_cannot_be_used_and_says_so(run: Run, photos: pathlib.Path) -> None:
    made = run("convolve", photos, "--size", 64, "--per-photo", 3, "--length", "5:20")
    assert made.code == 0, made
    assert re.search(r"Left out \(2\)", made.out)
    assert "small.png: 40x40 px is smaller than the crop of 64x64" in made.out
    assert "cut.jpg" in made.out
    pairs = reader.open("photos-pairs.zarr")
    assert pairs.items == 30
    assert {left["name"] for left in pairs.attributes["skipped"]} == {"small.png", "cut.jpg"}
    info = run("info", "photos-pairs.zarr").out
    assert "left out (2)" in info
    assert "small.png" in info
    assert run("preview", "photos-pairs.zarr", "--count", 4).code == 0


def test_sharp_images_are_the_photos_crops(run: Run, photos: pathlib.Path) -> None:
    assert run("convolve", photos, "--size", 64, "--per-photo", 2, "--length", 10).code == 0
    pairs = reader.open("photos-pairs.zarr")
    sharp = pairs.read("sharp", range(pairs.items))
    for k in range(pairs.items):
        photo = media.read(photos / pairs.sources[pairs.columns["source"][k]]["name"])
        y, x = pairs.columns["crop_y"][k], pairs.columns["crop_x"][k]
        assert np.array_equal(sharp[k], photo[y : y + 64, x : x + 64])
    splits = [{int(s) for s in pairs.columns["split"][pairs.columns["source"] == k]} for k in range(11)]
    assert all(len(found) <= 1 for found in splits), "a photo lies in two splits"


def test_strict_stops_at_the_first(run: Run, photos: pathlib.Path) -> None:
    assert_sentence(run("convolve", photos, "--size", 64, "--strict"), "small.png", "Without --strict it is left out")
    (photos / "small.png").unlink()
    assert_sentence(run("convolve", photos, "--size", 64, "--strict"), "cut.jpg")
    assert (
        not (pathlib.Path("photos-pairs.zarr") / "zarr.json").exists()
        or not reader.open("photos-pairs.zarr", incomplete=True).attributes["complete"]
    )


@pytest.mark.parametrize("more", [(), ("--field", "2x2", "--variation", 0)])
def test_a_kernel_larger_than_the_photo_is_a_sentence(run: Run, more: tuple[object, ...]) -> None:
    """Nothing of such a photo would be seen but its reflections."""
    Image.new("RGB", (60, 90)).save("small.png")
    assert_sentence(run("convolve", "small.png", *more), "small.png: 60x90 px is smaller than the PSF of 63x63; draw")
    assert_sentence(run("convolve", "small.png", "--size", 99), "60x90 px is smaller than the crop of 99x99")
    assert_sentence(
        run("convolve", "small.png", "--size", 56, "--fit", "resize", *more), "56x56 px is smaller than the"
    )
    assert not list(pathlib.Path().glob("*.zarr"))
    assert run("convolve", "small.png", "--size", 40, "--length", 57, *more).code == 0


def test_whole_photos_need_one_size(run: Run, photos: pathlib.Path) -> None:
    assert_sentence(run("convolve", photos), "The photos have", "100x80", "give --size")
    one = run("convolve", photos / "00.png", "--length", 10, "--out", "one.zarr")
    assert one.code == 0, one
    assert reader.open("one.zarr").read("sharp", [0]).shape == (1, 80, 100, 3)


def test_resize_scales_the_whole_photo(run: Run, photos: pathlib.Path) -> None:
    assert run("convolve", photos, "--size", 48, "--fit", "resize", "--length", 10).code == 0
    pairs = reader.open("photos-pairs.zarr")
    assert pairs.read("sharp", [0]).shape == (1, 48, 48, 3)
    name = pairs.sources[pairs.columns["source"][0]]["name"]
    expected = Image.fromarray(media.read(photos / name)).resize((48, 48), Image.Resampling.LANCZOS)
    assert np.array_equal(pairs.read("sharp", [0])[0], np.asarray(expected))


def test_paths_from_a_dataset_give_the_pairs_that_drawing_gives(run: Run) -> None:
    """Rounded paths are used whether drawn or read, and item i draws path i: so the pixels are equal."""
    assert run("trajectories", "--n", 6, "--length", 20, "--out", "paths.zarr").code == 0
    assert run("convolve", "scenes:6", "--size", 64, "--length", 20, "--out", "drawn.zarr").code == 0
    assert run("convolve", "scenes:6", "--size", 64, "--trajectories", "paths.zarr", "--out", "read.zarr").code == 0
    drawn, read = reader.open("drawn.zarr"), reader.open("read.zarr")
    assert np.array_equal(drawn.read("blurred", range(6)), read.read("blurred", range(6)))
    assert run("preview", "read.zarr").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trajectories", "--n", 0), ["--n: Input should be greater than or equal to 1 (found 0)"]),
        (("trajectories", "--anxiety", "2"), ["--anxiety: values lie between 0 and 1"]),
        (("trajectories", "--anxiety", "abc"), ["'abc' is not a number, a range LOW:HIGH"]),
        (("trajectories", "--steps", "1"), ["--steps: Input should"]),
        (("trajectories", "--preset", "nope"), ["boracchi-foi"]),
        (("trajectories", "--sed", "1"), ["--seed"]),
        (("trajectory",), ["No such command"]),
        (("psfs", "nothing.zarr"), ["There is no dataset at nothing.zarr"]),
        (("info", "nothing.zarr"), ["There is no dataset at nothing.zarr"]),
        (("preview", "nothing.zarr"), ["There is no dataset at nothing.zarr"]),
        (("convolve", "nowhere"), ["There is no file or folder nowhere"]),
        (("convolve", "scenes:x"), ["scenes:200"]),
        (("convolve", "scenes:3", "--size", 64, "--splits", "train=0.5"), ["add up to 0.5"]),
        (("convolve", "scenes:3", "--size", 64, "--splits", "train=a"), ["--splits train=a is not understood"]),
        (("convolve", "scenes:3", "--size", 64, "--splits", "tran=1"), ["--splits tran: unknown key"]),
        (("convolve", "scenes:3", "--size", 64, "--psf-size", 21), ["needs 63 px"]),
        (("convolve", "scenes:3", "--size", 64, "--psf-size", 64), ["--psf-size: the side is odd"]),
        (("convolve", "scenes:3", "--size", 64, "--exposure", "0:2"), ["--exposure: values lie between"]),
        (("convolve", "scenes:3", "--size", 4), ["--size: Input should be greater than or equal to 8"]),
        (("convolve", "scenes:3", "--size", 99999), ["size"]),
        (("convolve", "scenes:3", "--size", 64, "--per-photo", 0), ["--per-photo: Input"]),
        (("convolve", "scenes:3", "--size", 64, "--trajectories", "no.zarr"), ["There is no dataset at no.zarr"]),
        (("convolve", "scenes:3", "--trajectories", "no.zarr", "--length", 9), ["--length changes nothing"]),
        (("convolve", "scenes:3", "--fit", "resize"), ["cannot be used:\n  a photo that is resized"]),
        (("convolve", "scenes:3", "--size", 64, "--length", "nan"), ["--length: Input should be a finite number"]),
        (("convolve", "scenes:3", "--size", 64, "--field", "0x4"), ["--field: Input should"]),
        (("convolve", "scenes:3", "--size", 64, "--field", "2x4", "--variation", 9), ["--variation: values lie"]),
        (("convolve", "scenes:3", "--size", 64, "--realism", "jpeg"), ["--realism jpeg is not understood"]),
        (("convolve", "scenes:3", "--size", 64, "--realism", "sensor.read=-1"), ["--realism sensor.read: Input"]),
        (("shake", "scenes:3", "--size", 64, "--motion", 65), ["would move the scene out of a crop of 64 px"]),
        (("shake", "scenes:3", "--size", 64, "--field-of-view", 180), ["--field-of-view: Input should"]),
        (("shake", "scenes:3", "--size", 64, "--exposure", 1), ["--exposure changes nothing without a recording"]),
        (("shake", "scenes:3", "--size", 64, "--gyro-scale", 1), ["--gyro-scale changes nothing without"]),
        (("shake", "scenes:3", "--size", 64, "--preset", "lai", "--correlation", 1), ["--correlation changes nothing"]),
        (("shake", "scenes:3", "--size", 64, "--gyro", "no.csv"), ["--gyro needs --exposure SECONDS"]),
        (("shake", "scenes:3", "--gyro", "no.csv", "--exposure", 1, "--roll", 2), ["--roll changes nothing about"]),
        (("shake", "scenes:3", "--gyro", "no.csv", "--exposure", 1), ["no.csv", "No such file"]),
        (("shake", "scenes:3", "--size", 64, "--depth", ".", "--depth-scale", 0), ["--depth-scale: Input should"]),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run: Run, arguments: tuple[object, ...], words: list[str]) -> None:
    assert_sentence(run(*arguments), *words)
    assert not list(pathlib.Path().glob("*.zarr")), "something was written"


def test_a_folder_without_photos(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_sentence(run("convolve", "empty", "--size", 64), "has no photo", ".png")


def test_kernels_that_do_not_fit_name_the_size_that_does(run: Run) -> None:
    run("trajectories", "--n", 50, "--anxiety", 0)
    refused = run("psfs", "trajectories.zarr", "--size", 32)
    assert_sentence(refused, "32x32", "--size")
    assert not pathlib.Path("trajectories-psfs.zarr").exists(), "something was written"
    named = re.search(r"--size (\d+)", refused.err)
    assert named is not None
    assert run("psfs", "trajectories.zarr", "--size", named[1]).code == 0


def test_another_recipe_is_refused_with_the_difference(run: Run) -> None:
    run("trajectories", "--n", 20)
    before = reader.open("trajectories.zarr").read("position", range(20))
    assert_sentence(run("trajectories", "--n", 20, "--seed", 1), "seed: 0 -> 1", "--overwrite")
    assert_sentence(run("trajectories", "--n", 20, "--length", 30), "recipe.motion.length: 60.0 -> 30.0")
    assert_sentence(run("trajectories", "--n", 20, "--seed", 1, "--overwrite"), "--yes")
    assert np.array_equal(reader.open("trajectories.zarr").read("position", range(20)), before)
    assert run("trajectories", "--n", 20, "--seed", 1, "--overwrite", "--yes").code == 0
    assert reader.open("trajectories.zarr").attributes["seed"] == 1


def test_foreign_folders_are_left_alone(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = run("trajectories", "--n", 5, "--out", "mine", "--overwrite", "--yes")
    assert_sentence(result, "not a blursynth dataset")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_dataset_of_another_kind(run: Run) -> None:
    run("trajectories", "--n", 5)
    run("psfs", "trajectories.zarr")
    assert_sentence(run("psfs", "trajectories-psfs.zarr"), "holds psfs, not trajectories")
    assert_sentence(run("convolve", "scenes:3", "--size", 64, "--trajectories", "trajectories-psfs.zarr"), "holds psfs")


def test_help_of_every_command_has_an_example(run: Run) -> None:
    listed = run("--help")
    commands = re.findall(r"^  ([a-z][a-z-]*) {2,}", listed.out, flags=re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        shown = run(command, "--help")
        assert shown.code == 0
        assert f"blursynth {command} " in shown.out.split("Example", 1)[1], command


@pytest.mark.parametrize("words", [["--help"], ["convolve", "--help"], ["average-frames", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; from blursynth import __main__ as m; sys.argv = ['blursynth', *{words!r}]\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'zarr', 'dask', 'cv2', 'PIL', 'tensorstore', 'torch'} & set(sys.modules)\n"
        "heavy |= {'pydantic'} & set(sys.modules) if len(sys.argv) == 2 else set()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_dry_run_shows_the_recipe_and_touches_nothing(run: Run) -> None:
    shown = run("trajectories", "--n", 500, "--dry-run", "--out", "f.zarr")
    assert shown.code == 0
    for words in (
        "500 paths in 16 shards of 32",
        "disk     about",
        "memory",
        "time     about",
        'preset = "boracchi-foi"',
    ):
        assert words in shown.out
    assert not list(pathlib.Path().iterdir())
    assert_sentence(run("trajectories", "--n", 500, "--dry-run", "--memory", "100MB"), "does not fit into memory")
    assert_sentence(run("trajectories", "--n", 500, "--memory", "much"), "much is not an amount of memory")


def test_append_grows_a_dataset(run: Run) -> None:
    assert run("trajectories", "--n", 50).code == 0
    assert_sentence(run("trajectories", "--n", 80), "recipe.n: 50 -> 80", "--append to add to it")
    assert "30 paths" in run("trajectories", "--n", 80, "--append").out
    assert reader.open("trajectories.zarr").items == 80
    assert_sentence(run("trajectories", "--n", 90, "--append", "--seed", 1), "seed: 0 -> 1")
    assert_sentence(run("trajectories", "--n", 90, "--append", "--length", 30), "recipe.motion.length: 60.0 -> 30.0")
    assert run("verify", "trajectories.zarr").code == 0
    assert run("replay", "trajectories.zarr", 77).code == 0


def test_pairs_that_grew_are_what_their_record_says(run: Run, photos: pathlib.Path) -> None:
    options = ("--size", 64, "--length", "5:9", "--splits", "train=0.5,val=0.5")
    assert run("convolve", photos, *options).code == 0
    draws = np.random.default_rng(5)
    for name in ("00a", "zz"):
        Image.fromarray(draws.integers(0, 256, (70, 70, 3), dtype=np.uint8)).save(photos / f"{name}.png")
    assert run("convolve", photos, *options, "--append").code == 0
    assert reader.open("photos-pairs.zarr").items == 12
    assert run("verify", "photos-pairs.zarr").code == 0
    assert run("replay", "photos-pairs.zarr", 11).code == 0


def test_a_cluster_that_is_not_there(run: Run) -> None:
    assert_sentence(run("trajectories", "--n", 5, "--scheduler", "nonsense"), "No Dask scheduler answers at nonsense")
    assert not list(pathlib.Path().iterdir())
