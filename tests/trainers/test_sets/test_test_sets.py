"""Benchmarks' folders as published, made here with small images; what is missing is named."""

import argparse
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import scipy.io
from PIL import Image

from blursynth import errors
from blursynth.layouts import export
from blursynth.media import source_file
from blursynth.storage import reader
from trainers import test_sets
from trainers.evaluation import options
from trainers.test_sets import items, kohler

NUMBERS = np.random.default_rng(0)


def picture(path: pathlib.Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (value, value, value)).save(path)


def test_gopro_pairs_blur_and_sharp_of_each_sequence(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, sequence in enumerate(("GOPR0384_11_00", "GOPR0410_11_00")):
        for image in range(2):
            for value, folder in enumerate(("blur", "blur_gamma", "sharp")):
                picture(tmp_path / "test" / sequence / folder / f"{image:06d}.png", 100 * number + 10 * image + value)
    with caplog.at_level(logging.WARNING):
        found = test_sets.find(str(tmp_path))
    assert "4 of the 1,111 published test images of GOPRO" in caplog.text
    assert "4 of the 1,111" in found.about
    assert found.transfer_function == "gamma2.2"
    assert [item.name for item in found.items] == [
        f"{sequence}/{image:06d}" for sequence in ("GOPR0384_11_00", "GOPR0410_11_00") for image in range(2)
    ]
    assert [item.blurred()[0, 0, 0] for item in found.items] == [1, 11, 101, 111]
    assert [next(item.truths())[0, 0, 0] for item in found.items] == [2, 12, 102, 112]
    assert {item.group for item in found.items} == {"GOPR0384_11_00", "GOPR0410_11_00"}
    linear = test_sets.find(str(tmp_path), part="blur")
    assert linear.items[0].blurred()[0, 0, 0] == 0
    assert linear.transfer_function == "linear"
    (tmp_path / "test").rename(tmp_path / "train")
    assert test_sets.find(str(tmp_path / "train")).about == "GOPRO train set, blur_gamma"
    (tmp_path / "train").rename(tmp_path / "test")
    with pytest.raises(errors.InputError, match="no pairs in the split 'train'; give --split one of test, all"):
        test_sets.find(str(tmp_path), split="train")
    (tmp_path / "test" / "GOPR0410_11_00" / "sharp" / "000001.png").unlink()
    with pytest.raises(
        errors.InputError, match=r"1 images without one partner: test/GOPR0410_11_00/blur_gamma/000001.png"
    ):
        test_sets.find(str(tmp_path))


@pytest.mark.parametrize("form", ["mat", "png"])
def test_kohler_reads_every_ground_truth_in_order(
    form: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    for image in range(1, 5):
        for path in range(1, 13):
            picture(tmp_path / "BlurryImages" / f"Blurry{image}_{path}.png", image * 10 + path)
            frames = 3 if (image, path) != (1, 3) else 200
            if form == "png":
                for frame in range(1, frames + 1):
                    picture(tmp_path / f"Image{image}" / f"GroundTruth{image}_{path}_{frame}.png", frame)
            else:
                stack = np.zeros((5, 6, 3, frames), np.uint8) + np.arange(1, frames + 1, dtype=np.uint8)
                (tmp_path / "groundTruthMatFiles").mkdir(exist_ok=True)
                scipy.io.savemat(tmp_path / "groundTruthMatFiles" / f"GroundTruth{image}_{path}.mat", {"rotImg": stack})
    found = test_sets.find(str(tmp_path))
    assert found.many
    assert found.about == "Köhler et al."
    assert [item.name for item in found.items][:13] == [f"1_{path}" for path in range(1, 13)] + ["2_1"]
    with caplog.at_level(logging.WARNING):
        assert [frame[0, 0, 0] for frame in found.items[0].truths()] == [1, 2, 3]
    assert "3 of the 200 published ground truths of item 1_1 (198 to 200 published)" in caplog.text
    # The benchmark's own code compares this item with the frames [1:29, 31:198].
    assert [frame[0, 0, 0] for frame in found.items[2].truths()] == [*range(1, 30), *range(31, 199)]
    (tmp_path / "BlurryImages" / "Blurry3_7.png").unlink()
    assert "missing: Blurry3_7" in test_sets.find(str(tmp_path)).about
    for path in tmp_path.rglob("GroundTruth2_5*"):
        path.unlink()
    with pytest.raises(errors.InputError, match="lacks ground truths: GroundTruth2_5"):
        test_sets.find(str(tmp_path))


def test_a_matlab_file_of_something_else_is_named(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "Blurry1_1.png")
    scipy.io.savemat(tmp_path / "GroundTruth1_1.mat", {"kernel": np.zeros((3, 3))})
    found = kohler.read(tmp_path, "")
    with pytest.raises(errors.InputError, match=r"expected to hold one array of 8-bit frames"):
        list(found.items[0].truths())


def test_a_file_of_kohler_that_is_there_twice_is_named(tmp_path: pathlib.Path) -> None:
    for name in ("BlurryImages/Blurry1_1.png", "GroundTruth1_1_1.png"):
        picture(tmp_path / name)
    scipy.io.savemat(tmp_path / "GroundTruth1_1.mat", {"rotImg": np.zeros((5, 6, 3, 9), np.uint8)})
    with pytest.raises(errors.InputError, match=r"GroundTruth1_1 both as \.mat and as photos"):
        kohler.read(tmp_path, "")
    for name in ("copy/Blurry1_1.png", "copy/GroundTruth1_1_1.png"):
        picture(tmp_path / name)
        with pytest.raises(errors.InputError, match="are both"):
            kohler.read(tmp_path, "")
        (tmp_path / name).unlink()


def test_lai_pairs_blurs_with_their_scene(tmp_path: pathlib.Path) -> None:
    for kind in ("manmade", "natural", "people", "saturated", "text"):
        for scene in range(1, 6):
            picture(tmp_path / "ground_truth" / f"{kind}_{scene:02d}.png", scene)
            for blur in range(1, 5):
                picture(tmp_path / "uniform" / f"{kind}_{scene:02d}_kernel_{blur:02d}.png", 10 * scene + blur)
                picture(tmp_path / "nonuniform" / f"{kind}_{scene:02d}_gyro_{blur:02d}.png", 100 + blur)
    for photo in range(100):
        picture(tmp_path / "real" / f"photo{photo:03d}.png")
    found = test_sets.find(str(tmp_path))
    assert len(found.items) == 100
    assert len({item.group for item in found.items}) == 25
    item = next(item for item in found.items if item.name == "people_03_kernel_02")
    assert (item.blurred()[0, 0, 0], next(item.truths())[0, 0, 0]) == (32, 3)
    assert len(test_sets.find(str(tmp_path), part="nonuniform").items) == 100
    real = test_sets.find(str(tmp_path), part="real")
    assert not real.truth
    assert len(real.items) == 100
    (tmp_path / "uniform" / "text_05_kernel_04.png").unlink()
    assert (
        "99 of the 100 published uniform images of Lai et al.; missing: text_05_kernel_04"
        in test_sets.find(str(tmp_path)).about
    )
    (tmp_path / "ground_truth" / "text_01.png").unlink()
    with pytest.raises(errors.InputError, match=r"4 images in .* have no image of their scene"):
        test_sets.find(str(tmp_path))
    with pytest.raises(errors.InputError, match="have the parts"):
        test_sets.find(str(tmp_path), part="blur")


def test_realblur_follows_its_test_list(tmp_path: pathlib.Path) -> None:
    root = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene001"
    lines = []
    for number in (1, 2):
        sharp, blurred = f"{root}/gt/gt_{number}.png", f"{root}/blur/blur_{number}.png"
        picture(tmp_path / sharp, number)
        picture(tmp_path / blurred, 10 + number)
        lines.append(f"{sharp} {blurred} ")
    with pytest.raises(errors.InputError, match=r"RealBlur_J_test_list\.txt is missing"):
        test_sets.find(str(tmp_path), layout="realblur")
    (tmp_path / "RealBlur_J_test_list.txt").write_text("\n".join(lines) + "\n")
    found = test_sets.find(str(tmp_path))
    assert "2 of the 980 published" in found.about
    assert [(i.blurred()[0, 0, 0], next(i.truths())[0, 0, 0]) for i in found.items] == [(11, 1), (12, 2)]
    for path in (f"{root}/gt/gt_1.png", f"{root}/blur/blur_1.png"):
        picture(tmp_path / "other" / path, 9)
    same = f"{root}/gt/gt_2.png {root}/blur/blur_1.png"  # another sharp image of a blurred one
    for line in (same, " ".join(f"other/{path}" for path in lines[0].split())):
        (tmp_path / "RealBlur_J_test_list.txt").write_text("\n".join([*lines, line]))
        with pytest.raises(errors.InputError, match="two pairs named scene001/blur_1"):
            test_sets.find(str(tmp_path))
    (tmp_path / "RealBlur_J_test_list.txt").write_text("\n".join([*lines, lines[0]]))
    assert len(test_sets.find(str(tmp_path)).items) == 2
    (tmp_path / root / "gt" / "gt_2.png").unlink()
    with pytest.raises(errors.InputError, match=r"1 files of .* are missing: RealBlur-J.*gt_2.png"):
        test_sets.find(str(tmp_path))


@pytest.mark.parametrize(
    ("blurred", "sharp"), [("input", "target"), ("lq", "gt"), ("blur", "sharp"), ("blurry", "sharp")]
)
def test_pairs_of_every_known_name_are_scored(tmp_path: pathlib.Path, blurred: str, sharp: str) -> None:
    for number, split in enumerate(("train", "test")):
        for image in range(2):
            picture(tmp_path / split / blurred / f"{image}.png", 50 * number + image)
            picture(tmp_path / split / sharp / f"{image}.png", 50 * number + image + 10)
    for path, more, values in (
        (tmp_path / "train", {}, [0, 1]),
        (tmp_path, {}, [50, 51]),
        (tmp_path, {"split": "train"}, [0, 1]),
        (tmp_path, {"split": "all"}, [50, 51, 0, 1]),
    ):
        found = test_sets.find(str(path), **more)
        assert [item.blurred()[0, 0, 0] for item in found.items] == values
        assert [next(item.truths())[0, 0, 0] for item in found.items] == [value + 10 for value in values]
        assert found.transfer_function is None


def test_an_export_is_scored_in_every_layout_of_folders(
    make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    path = make_pairs(tmp_path / "pairs.zarr")
    dataset = reader.open(path)
    for to in ("flat", "gopro"):
        export.export(path, tmp_path / to, to)
        for split in ("test", "val", "train"):
            folders = [tmp_path / to, tmp_path / to / split]
            if to == "gopro":
                folders.append(tmp_path / to / split / "pairs_00000")
            for folder in folders:
                found = test_sets.find(str(folder), split=split if folder.name in (to, split) else None)
                numbers = dataset.in_split(split)
                assert [item.name.rpartition("/")[2] for item in found.items] == [f"{each:06d}" for each in numbers]
                for item, number in zip(found.items, numbers, strict=True):
                    assert np.array_equal(item.blurred(), dataset.read("blurred", [number])[0])
                    assert np.array_equal(next(item.truths()), dataset.read("sharp", [number])[0])
                assert found.transfer_function == "gamma2.2"
                assert "an export of a dataset" in found.about
                groups = {item.group for item in found.items}
                assert groups == ({"pairs_00000"} if to == "gopro" else {item.name for item in found.items})
        shutil.rmtree(tmp_path / to / "test")
        with pytest.raises(errors.InputError, match="test has 0 pairs that can be used, exported were"):
            test_sets.find(str(tmp_path / to))
        assert "split val" in test_sets.find(str(tmp_path / to), split="val").about
        with pytest.raises(errors.InputError, match="give --split one of train, val, all"):
            test_sets.find(str(tmp_path / to), split="test")
        manifest = tmp_path / to / "blursynth.json"
        manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
        with pytest.raises(errors.InputError, match="not finished"):
            test_sets.find(str(tmp_path / to))


@pytest.mark.parametrize("to", ["flat", "gopro"])
def test_an_export_that_is_not_as_it_was_is_refused(
    make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path, to: str
) -> None:
    out = tmp_path / "out"
    export.export(make_pairs(tmp_path / "pairs.zarr"), out, to)
    folders = [out, out / "test", *([out / "test" / "pairs_00000"] if to == "gopro" else [])]
    blurred, other = sorted(path for path in (out / "test").rglob("*.png") if path.parent.name != "sharp")[:2]
    content = blurred.read_bytes()
    blurred.write_bytes(other.read_bytes())
    for folder in folders:
        with pytest.raises(errors.InputError, match="1 files are not those that were exported: test/"):
            test_sets.find(str(folder))
    assert test_sets.find(str(out), split="val").items  # what is not scored is not looked at
    blurred.write_bytes(content)
    for path in (out / "test").rglob(blurred.name):
        path.unlink()
    for folder in folders:
        with pytest.raises(errors.InputError, match="pairs that can be used, exported were"):
            test_sets.find(str(folder))
    with pytest.raises(errors.InputError, match="pairs that can be used, exported were"):
        test_sets.find(str(out), split="all")


def test_what_is_scored_is_what_the_fingerprint_is_of(tmp_path: pathlib.Path) -> None:
    for value, side in enumerate(("input", "target")):
        picture(tmp_path / "test" / side / "1.png", value)
    item = test_sets.find(str(tmp_path)).items[0]
    assert (item.blurred()[0, 0, 0], next(item.truths())[0, 0, 0]) == (0, 1)
    picture(tmp_path / "test" / "input" / "1.png", 7)
    for read in (item.blurred, lambda: next(item.truths())):  # of the blurred one, the depth
        with pytest.raises(errors.SourceError, match=r"1\.png has changed"):
            read()


def test_files_that_cannot_be_read_for_a_moment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bytes than there are give no fingerprint, and the second attempt gives the right one."""
    for value, side in enumerate(("input", "target")):
        picture(tmp_path / "test" / side / "1.png", value)
    right, whole, left = test_sets.find(str(tmp_path)).fingerprint, source_file.raw, [1]

    def short(path: str | pathlib.Path, start: int = 0, size: int | None = None) -> tuple[bytes, int]:
        data, expected = whole(path, start, size)
        if left and pathlib.Path(path).parent.name == "target":
            left.pop()
            return data[:10], expected
        return data, expected

    monkeypatch.setattr(source_file, "raw", short)
    with pytest.raises(errors.SourceError, match=r"target/1\.png cannot be read at the moment: 10 bytes"):
        test_sets.find(str(tmp_path))
    left.append(1)
    asked = argparse.Namespace(data=str(tmp_path), layout="auto", split=None, part="", blurred="", sharp="")
    tests = options.test_images(asked)
    assert tests.fingerprint == right
    left.append(1)
    assert next(tests.items[0].truths())[0, 0, 0] == 1


def test_reds_is_scored_and_what_is_no_image_is_told(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    for value, side in enumerate(("val_blur", "val_sharp")):
        for clip in ("000", "001"):
            picture(tmp_path / "val" / side / clip / "00000000.png", value)
    os.mkfifo(tmp_path / "val" / "val_blur" / "000" / "pipe.png")
    (tmp_path / "val" / "val_blur" / "000" / ".hidden.png").write_bytes(b"x")
    found = test_sets.find(str(tmp_path))
    assert [(item.name, item.group) for item in found.items] == [(f"{n}/00000000", n) for n in ("000", "001")]
    assert [(item.blurred()[0, 0, 0], next(item.truths())[0, 0, 0]) for item in found.items] == [(0, 1), (0, 1)]
    assert found.about == "split val, a folder of pairs, of unknown blur"
    assert "pipe.png is a pipe" in caplog.text
    assert ".hidden" not in caplog.text


def test_a_matlab_file_that_is_cut_is_refused(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "Blurry1_1.png")
    path = tmp_path / "GroundTruth1_1.mat"
    scipy.io.savemat(path, {"rotImg": NUMBERS.integers(0, 256, (5, 6, 3, 9), np.uint8)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(errors.InputError, match=r"GroundTruth1_1\.mat"):
        list(kohler.read(tmp_path, "").items[0].truths())


def hide(root: pathlib.Path) -> None:
    """HIDE as published: blurred images in folders of splits, all sharp ones in one folder of the same file names."""
    blurred = ("test/test-close-ups/1.png", "test/test-long-shot/2.png", "test/test-long-shot/3.png", "train/4.png")
    for value, name in enumerate(blurred, 1):
        picture(root / name, value)
        picture(root / "GT" / name.rpartition("/")[2], value + 10)


def values(found: items.TestSet) -> list[tuple[int, int]]:
    return [(int(item.blurred()[0, 0, 0]), int(next(item.truths())[0, 0, 0])) for item in found.items]


def test_hide_is_scored_as_it_is_published(tmp_path: pathlib.Path) -> None:
    hide(tmp_path)
    tested = [(1, 11), (2, 12), (3, 13)]
    for more in ({}, {"split": "test"}, {"blurred": "test"}, {"blurred": "test", "sharp": "GT"}, {"part": "test"}):
        found = test_sets.find(str(tmp_path), **more)
        assert values(found) == tested, more
        assert "split test" in found.about
    assert values(test_sets.find(str(tmp_path), split="train")) == [(4, 14)]
    (tmp_path / "GT" / "2.png").unlink()
    with pytest.raises(errors.InputError, match=r"2\.png"):
        test_sets.find(str(tmp_path))


def test_those_of_one_clip_are_a_group(tmp_path: pathlib.Path) -> None:
    for name in ("test-close-ups/1fromGOPR1.png", "test-long-shot/2fromGOPR1.png", "test-long-shot/3fromGOPR2.png"):
        picture(tmp_path / "test" / name)
        picture(tmp_path / "GT" / name.rpartition("/")[2])
    assert [item.group for item in test_sets.find(str(tmp_path)).items] == ["GOPR1", "GOPR1", "GOPR2"]


def test_its_test_images_alone_are_scored_too(tmp_path: pathlib.Path) -> None:
    hide(tmp_path)
    shutil.rmtree(tmp_path / "train")
    assert values(test_sets.find(str(tmp_path))) == [(1, 11), (2, 12), (3, 13)]
    with pytest.raises(errors.InputError):
        test_sets.find(str(tmp_path), split="train")


def test_folders_of_unknown_names_can_be_named(tmp_path: pathlib.Path) -> None:
    for value in (1, 2):
        picture(tmp_path / "shaky" / "a" / f"{value}.png", value)
        picture(tmp_path / "steady" / "a" / f"{value}.png", value + 10)
    path = str(tmp_path)
    with pytest.raises(errors.InputError, match="--blurred NAME --sharp NAME"):
        test_sets.find(path)
    found = test_sets.find(path, blurred="shaky", sharp="steady")
    assert values(found) == [(1, 11), (2, 12)]
    assert values(test_sets.find(path, layout="pairs", blurred="shaky", sharp="steady")) == values(found)
    parser = argparse.ArgumentParser()
    options.add(parser)
    asked = parser.parse_args(["--data", path, "--blurred", "shaky", "--sharp", "steady"])
    assert values(options.test_images(asked)) == values(found)
    assert values(test_sets.find(path, blurred="steady", sharp="shaky")) == [(11, 1), (12, 2)]
    for wrong in (
        {"blurred": "shaky"},
        {"sharp": "steady"},
        {"blurred": "shaky", "sharp": "still"},
        {"blurred": "shaky", "sharp": "shaky"},
        {"part": "shaky", "blurred": "shaky", "sharp": "steady"},
        {"layout": "gopro", "blurred": "shaky", "sharp": "steady"},
        {"layout": "lai", "blurred": "shaky", "sharp": "steady"},
    ):
        with pytest.raises(errors.InputError):
            test_sets.find(path, **wrong)


def test_names_of_gopro_that_are_given_keep_its_meaning(tmp_path: pathlib.Path) -> None:
    for value, side in enumerate(("blur", "blur_gamma", "sharp")):
        picture(tmp_path / "test" / "GOPR0384_11_00" / side / "000001.png", value)
    for blurred, pair, light in (("blur", (0, 2), "linear"), ("blur_gamma", (1, 2), "gamma2.2")):
        found = test_sets.find(str(tmp_path), blurred=blurred, sharp="sharp")
        assert (values(found), found.transfer_function) == ([pair], light)


def test_the_arrays_of_a_dataset_have_their_names(
    make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.InputError):
        test_sets.find(str(make_pairs(tmp_path / "pairs.zarr")), blurred="blurred", sharp="sharp")


OURS = {
    "written_by": "blursynth 0.1",
    "layout": "flat",
    "complete": True,
    "transfer_function": "srgb",
    "height": 5,
    "width": 6,
    "pairs": {"test": 1},
    "dataset": {"command": "blursynth convolve"},
}


@pytest.mark.parametrize(
    "damaged",
    [
        *({key: value for key, value in OURS.items() if key != lost} for lost in OURS),
        OURS | {"transfer_function": None},
        OURS | {"complete": "true"},
        OURS | {"dataset": []},
        OURS | {"written_by": 1},
        {"written_by": "blursynth 0.1"},
    ],
)
def test_a_damaged_record_of_an_export_is_named(tmp_path: pathlib.Path, damaged: dict[str, object]) -> None:
    for side in ("input", "target"):
        picture(tmp_path / "test" / side / "1.png")
    manifest = tmp_path / "blursynth.json"
    manifest.write_text(json.dumps(OURS))
    assert test_sets.find(str(tmp_path)).transfer_function == "srgb"
    manifest.write_text(json.dumps(damaged))
    for folder in (tmp_path, tmp_path / "test"):
        with pytest.raises(errors.InputError, match=r"blursynth\.json"):
            test_sets.find(str(folder))


@pytest.mark.parametrize(
    "foreign", ["{}", "[]", "null", "3", '{"written_by": "another", "pairs": 3}', '{"name": "set", "layout": "flat"}']
)
def test_a_record_of_another_program_is_left_alone(tmp_path: pathlib.Path, foreign: str) -> None:
    for side in ("input", "target"):
        picture(tmp_path / side / "1.png")
    (tmp_path / "blursynth.json").write_text(foreign)
    assert test_sets.find(str(tmp_path)).transfer_function is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"complete": true, "complete": false}', b"[" * 100_000])
def test_what_is_no_json_is_named(tmp_path: pathlib.Path, content: bytes) -> None:
    for side in ("input", "target"):
        picture(tmp_path / side / "1.png")
    (tmp_path / "blursynth.json").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"blursynth\.json"):
        test_sets.find(str(tmp_path))
