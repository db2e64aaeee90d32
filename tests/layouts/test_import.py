"""Pairs that are there already: identity with what was exported, published sets, and folders as users have them."""

import errno
import io
import json
import os
import pathlib
import shutil
import tarfile
import tomllib
import zlib
from typing import Any

import kinds
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.layouts import export
from blursynth.maintenance import repair, replay, verify
from blursynth.makers import convolve, imported_pairs_request
from blursynth.media import source_file
from blursynth.production import run
from blursynth.sources import image_files
from blursynth.storage import reader

ASKED: dict[str, Any] = {"seed": 0}
DRAWS = np.random.default_rng(2)


def noise(path: pathlib.Path, height: int = 12, width: int = 16) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(DRAWS.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def imported(layout: str, folder: pathlib.Path, out: pathlib.Path, **options: Any) -> reader.Dataset:
    run.produce(imported_pairs_request.maker(layout, str(folder), ASKED | options), out)
    return reader.open(out)


def same(left: reader.Dataset, right: reader.Dataset) -> None:
    assert left.items == right.items
    items = range(left.items)
    for name in ("blurred", "sharp"):
        assert np.array_equal(left.read(name, items), right.read(name, items))
        assert left.attributes_of(name) == right.attributes_of(name)
    assert left.splits == right.splits
    assert np.array_equal(left.columns["split"], right.columns["split"])


@pytest.mark.parametrize("layout", ["flat", "gopro", "webdataset"])
def test_export_then_import_is_the_identity(pairs: reader.Dataset, tmp_path: pathlib.Path, layout: str) -> None:
    """Also of light that the tree has no name for: blursynth.json says it."""
    export.export(pairs.path, tmp_path / "out", layout)
    same(imported(layout, tmp_path / "out", tmp_path / "again.zarr"), pairs)
    run.produce(kinds.make("imported crops", tmp_path / "crops"), tmp_path / "crops.zarr")
    blurred_as = "blur" if layout == "gopro" else None
    export.export(tmp_path / "crops.zarr", tmp_path / "crops-out", layout, blurred_as=blurred_as)
    again = imported(layout, tmp_path / "crops-out", tmp_path / "crops-again.zarr")
    assert again.transfer_function == "srgb"
    same(again, reader.open(tmp_path / "crops.zarr"))


def test_light_that_files_declare_is_honoured_and_not_contradicted(tmp_path: pathlib.Path) -> None:
    """PNG's gAMA of linear light: read as sRGB, so no other transfer function is true of it."""
    for name in ("blur", "sharp"):
        path = noise(tmp_path / "pairs" / name / "1.png")
        content = path.read_bytes()
        body = b"gAMA" + (100_000).to_bytes(4)
        path.write_bytes(content[:33] + (4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4) + content[33:])
    given = {"split": "train", "blurred": "blur", "sharp": "sharp"}
    dataset = imported("flat", tmp_path / "pairs", tmp_path / "srgb.zarr", transfer="srgb", **given)
    linear = np.asarray(Image.open(tmp_path / "pairs" / "sharp" / "1.png")) / 255
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(dataset.read("sharp", [0])[0] - expected).max() <= 1
    with pytest.raises(errors.InputError, match="declares its own light"):
        imported_pairs_request.maker("flat", str(tmp_path / "pairs"), ASKED | {"transfer": "linear", **given})


def test_a_response_table_comes_along(tmp_path: pathlib.Path) -> None:
    """Through an export, and through an export of what was imported."""
    curve = [(code / 255) ** 1.8 for code in range(256)]
    (tmp_path / "curve.txt").write_text("\n".join(map(str, curve)))
    asked = kinds.SMALL | {"size": 24, "realism": [f"response={tmp_path / 'curve.txt'}"]}
    run.produce(convolve.maker(str(kinds.photos(tmp_path / "photos")), ASKED | asked), tmp_path / "0.zarr")
    for turn in (1, 2):
        export.export(tmp_path / f"{turn - 1}.zarr", tmp_path / f"{turn}", "flat")
        found = imported("flat", tmp_path / f"{turn}", tmp_path / f"{turn}.zarr")
        assert found.transfer_function == "table"
        assert tomllib.loads(found.attributes["recipe"])["response"] == pytest.approx(curve)
    manifest = tmp_path / "1" / "blursynth.json"
    manifest.write_text(manifest.read_text().replace("response = [", "respond = ["))
    with pytest.raises(errors.InputError, match="has lost the table"):
        imported("flat", tmp_path / "1", tmp_path / "lost.zarr")


@pytest.mark.parametrize("layout", ["flat", "gopro"])
def test_import_then_export_is_the_identity(tmp_path: pathlib.Path, layout: str) -> None:
    """File by file, once no item is left out: the one that is keeps its number, and its file's name is not there."""
    run.produce(kinds.make("imported", tmp_path), tmp_path / "0.zarr")
    files = []
    for k in range(3):
        out = tmp_path / f"out-{k}"
        export.export(tmp_path / f"{k}.zarr", out, layout, blurred_as="blur" if layout == "gopro" else None)
        files.append({name: data for name, data in kinds.contents(out).items() if name.endswith("png")})
        imported(layout, out, tmp_path / f"{k + 1}.zarr")
    assert len(files[0]) == 18
    assert files[1] == files[2]
    assert sorted(files[0].values()) == sorted(files[1].values())


def tree(folder: pathlib.Path, blurred: str = "blur_gamma", count: int = 3) -> pathlib.Path:
    for sequence in ("train/GOPR0372_07_00", "train/GOPR0372_11_01", "test/GOPR0384_11_00"):
        for k in range(count):
            for each in (blurred, "sharp"):
                noise(folder / sequence / each / f"{k * 7 + 47:06d}.png")
    return folder


def test_a_tree_says_its_split_its_light_and_how_many_frames(tmp_path: pathlib.Path) -> None:
    dataset = imported("gopro", tree(tmp_path / "GOPRO"), tmp_path / "a.zarr", partial=True)
    assert dataset.transfer_function == "gamma2.2"
    assert [dataset.splits[k] for k in dataset.columns["split"]] == ["train"] * 6 + ["test"] * 3
    assert dataset.columns["frames"].tolist() == [7] * 3 + [11] * 6
    sharp = dataset.sources[dataset.columns["source"][4]]
    assert sharp["name"] == "train/GOPR0372_11_01/sharp/000054.png"
    blurred = dataset.sources[dataset.columns["blurred_source"][4]]
    assert blurred["name"] == "train/GOPR0372_11_01/blur_gamma/000054.png"
    with Image.open(tmp_path / "GOPRO" / blurred["name"]) as image:
        assert np.array_equal(dataset.read("blurred", [4])[0], np.asarray(image))
    # Sequences keep their names when the tree is written again.
    export.export(dataset.path, tmp_path / "again", "gopro")
    assert len(list((tmp_path / "again" / "test" / "GOPR0384_11_00" / "blur_gamma").iterdir())) == 3


def test_numbers_and_sizes_are_held_against_what_was_published(tmp_path: pathlib.Path) -> None:
    tree(tmp_path / "GOPRO")
    with pytest.raises(errors.InputError) as raised:
        imported_pairs_request.maker("gopro", str(tmp_path / "GOPRO"), ASKED)
    for words in (
        "train has 6 pairs of 2 sequences, published were 2103 of 22",
        "test has 3 pairs of 1 sequences, published were 1111 of 11",
        "images are not 1280x720 px: ",
        "--partial",
    ):
        assert words in str(raised.value)
    part = imported_pairs_request.maker("gopro", str(tmp_path / "GOPRO" / "train"), ASKED | {"partial": True})
    assert len(part.pairs) == 6


def test_blur_and_blur_gamma_are_never_confused(tmp_path: pathlib.Path) -> None:
    asked = ASKED | {"partial": True}
    tree(tmp_path / "GOPRO", "blur")
    assert imported_pairs_request.maker("gopro", str(tmp_path / "GOPRO"), asked).recipe.transfer == "linear"
    tree(tmp_path / "GOPRO", "blur_gamma")
    with pytest.raises(errors.RecipeError, match="--blurred which to import"):
        imported_pairs_request.maker("gopro", str(tmp_path / "GOPRO"), asked)
    made = imported_pairs_request.maker("gopro", str(tmp_path / "GOPRO"), asked | {"blurred": "blur_gamma"})
    assert made.recipe.transfer == "gamma2.2"
    with pytest.raises(errors.RecipeError, match=r"--transfer linear contradicts .* says gamma2\.2"):
        imported_pairs_request.maker(
            "gopro", str(tmp_path / "GOPRO"), asked | {"blurred": "blur_gamma", "transfer": "linear"}
        )


@pytest.mark.parametrize("layout", ["flat", "webdataset", "kohler"])
def test_light_that_nothing_names_is_asked_for(tmp_path: pathlib.Path, layout: str) -> None:
    folder = {"flat": kinds.pair_files, "webdataset": kinds.pair_tars, "kohler": kohler}[layout](tmp_path / "set")
    asked = ASKED | {"partial": True}
    with pytest.raises(errors.RecipeError, match=r"(?s)Nothing in .*give --transfer gamma2\.2, srgb or linear"):
        imported_pairs_request.maker(layout, str(folder), asked)
    assert (
        imported_pairs_request.maker(layout, str(folder), asked | {"transfer": "unknown"}).recipe.transfer == "unknown"
    )


@pytest.mark.parametrize(
    ("blurred", "sharp"),
    [("input", "target"), ("input_crops", "target_crops"), ("blur_crops", "sharp_crops"), ("lq", "gt")],
)
def test_names_of_folders_that_are_in_use(tmp_path: pathlib.Path, blurred: str, sharp: str) -> None:
    folder = kinds.pair_files(tmp_path / "set", (blurred, sharp))
    dataset = imported("flat", folder, tmp_path / "a.zarr", transfer="linear")
    assert [dataset.splits[k] for k in dataset.columns["split"]] == ["train"] * 3 + ["val"]
    assert [left["name"] for left in dataset.attributes["skipped"]] == [f"train/{sharp}/4.png"]


def test_folders_of_other_names_are_named(tmp_path: pathlib.Path) -> None:
    folder = kinds.pair_files(tmp_path / "set", ("A", "B"))
    with pytest.raises(errors.RecipeError, match="--blurred NAME --sharp NAME"):
        imported_pairs_request.maker("flat", str(folder), ASKED | {"transfer": "srgb"})
    named = ASKED | {"transfer": "srgb", "blurred": "A", "sharp": "B"}
    assert len(imported_pairs_request.maker("flat", str(folder), named).pairs) == 5
    with pytest.raises(errors.InputError, match="has a folder C on its way"):
        imported_pairs_request.maker("flat", str(folder), named | {"sharp": "C"})
    shutil.copytree(folder / "val" / "A", tmp_path / "bare" / "A")
    shutil.copytree(folder / "val" / "B", tmp_path / "bare" / "B")
    with pytest.raises(errors.RecipeError, match=r"which split B/.* give --split") as raised:
        imported_pairs_request.maker("flat", str(tmp_path / "bare"), named)
    assert "--transfer" not in str(raised.value)
    with pytest.raises(errors.RecipeError, match=r"give --split .*\n.* give --transfer"):  # all at once
        imported_pairs_request.maker("flat", str(tmp_path / "bare"), ASKED | {"blurred": "A", "sharp": "B"})
    assert imported_pairs_request.maker("flat", str(tmp_path / "bare"), named | {"split": "test"}).pairs[0].split == 2


def test_what_has_no_partner_or_several_is_left_out_and_listed(tmp_path: pathlib.Path) -> None:
    folder = kinds.pair_files(tmp_path / "set")
    noise(folder / "train" / "input" / "alone.png")
    noise(folder / "val" / "target" / "0.png")  # another split's 0 is not its partner
    noise(folder / "train" / "target" / "1.bmp")
    asked = ASKED | {"transfer": "srgb"}
    dataset = imported("flat", folder, tmp_path / "a.zarr", **asked)
    assert {left["name"]: left["reason"] for left in dataset.attributes["skipped"]} == {
        "train/input/alone.png": "has no sharp image of its name",
        "val/target/0.png": "has no blurred image of its name",
        "train/input/1.png": "has 2 sharp images of its name",
        "train/target/1.bmp": "is one of 2 files of that name",
        "train/target/1.png": "is one of 2 files of that name",
        "train/target/4.png": dataset.attributes["skipped"][-1]["reason"],
    }
    assert dataset.items == 3
    with pytest.raises(errors.InputError, match=r"train/input/1\.png: has 2 sharp .* Without --strict"):
        imported_pairs_request.maker("flat", str(folder), asked | {"strict": True})


def test_images_of_several_sizes(tmp_path: pathlib.Path) -> None:
    folder = kinds.pair_files(tmp_path / "set")
    for name in ("input", "target"):
        noise(folder / "train" / name / "wide.png", 40, 60)
        noise(folder / "train" / name / "small.png", 20, 20)
    noise(folder / "train" / "input" / "odd.png", 41, 50)
    noise(folder / "train" / "target" / "odd.png", 40, 50)
    asked = ASKED | {"transfer": "srgb"}
    with pytest.raises(errors.InputError, match=r"images have 3 sizes: 50x40 \(10\), .* give --size"):
        imported_pairs_request.maker("flat", str(folder), asked)
    dataset = imported("flat", folder, tmp_path / "a.zarr", **asked, size=30, per_pair=2)
    assert dataset.items == 10
    left = {entry["name"]: entry["reason"] for entry in dataset.attributes["skipped"]}
    assert left["train/input/odd.png"] == "is 50x41 px and its sharp image 50x40"
    assert left["train/input/small.png"] == "20x20 px is smaller than the crop of 30x30"
    for item in range(dataset.items):
        columns = {name: int(values[item]) for name, values in dataset.columns.items()}
        for array, source in (("blurred", columns["blurred_source"]), ("sharp", columns["source"])):
            with Image.open(folder / dataset.sources[source]["name"]) as image:
                box = (columns["crop_x"], columns["crop_y"], columns["crop_x"] + 30, columns["crop_y"] + 30)
                assert np.array_equal(dataset.read(array, [item])[0], np.asarray(image.crop(box)))


def kohler(folder: pathlib.Path, images: int = 4, paths: int = 12, positions: int = 5) -> pathlib.Path:
    for image in range(1, images + 1):
        for path in range(1, paths + 1):
            noise(folder / f"Blurry{image}_{path}.png")
            for k in range(1, positions + 1):
                noise(folder / f"Image{image}" / f"Kernel{path}" / f"GroundTruth{image}_{path}_{k}.png")
    return folder


def test_kohler_pairs_each_exposure_with_its_middle_position(tmp_path: pathlib.Path) -> None:
    asked = {"transfer": "unknown", "partial": True}
    dataset = imported("kohler", kohler(tmp_path / "set"), tmp_path / "a.zarr", **asked)
    assert dataset.items == 48
    assert {dataset.splits[k] for k in dataset.columns["split"]} == {"test"}
    names = [source["name"] for source in dataset.sources]
    assert names[dataset.columns["source"][13]] == "Image2/Kernel2/GroundTruth2_2_3.png"
    assert names[dataset.columns["blurred_source"][13]] == "Blurry2_2.png"
    (tmp_path / "set" / "Blurry3_4.png").unlink()
    with pytest.raises(errors.InputError) as raised:
        imported_pairs_request.maker("kohler", str(tmp_path / "set"), ASKED | {"transfer": "unknown"})
    for words in ("missing are Blurry3_4", "GroundTruth1_1 has 5 positions, published were 197 to 200", "not 800x800"):
        assert words in str(raised.value)


def test_lai_pairs_each_blurred_image_with_its_sharp_one(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "cvpr16"
    for kind in ("manmade", "natural", "people", "saturated", "text"):
        for number in range(1, 6):
            noise(folder / "ground_truth" / f"{kind}_0{number}.png")
            for blur, numbers in (("kernel", ("01", "02", "03", "04")), ("gyro", ("07", "16", "23", "24"))):
                for k in numbers:
                    noise(folder / blur / f"{kind}_0{number}_{blur}_{k}.png")
    both = imported_pairs_request.maker("lai", str(folder), ASKED)
    assert (len(both.pairs), both.recipe.transfer) == (200, "linear")
    assert len(both.sources) == 225
    dataset = imported("lai", folder, tmp_path / "a.zarr", blurred="gyro")
    assert dataset.items == 100
    names = [source["name"] for source in dataset.sources]
    assert names[dataset.columns["source"][5]] == "ground_truth/manmade_02.png"
    assert names[dataset.columns["blurred_source"][5]] == "gyro/manmade_02_gyro_16.png"
    (folder / "kernel" / "text_05_kernel_03.png").unlink()
    (folder / "ground_truth" / "people_01.png").unlink()
    with pytest.raises(errors.InputError) as raised:
        imported_pairs_request.maker("lai", str(folder), ASKED)
    assert "missing are text_05_kernel_03" in str(raised.value)
    assert "missing are the sharp images people_01" in str(raised.value)


def tar_with(path: pathlib.Path, *entries: tarfile.TarInfo) -> pathlib.Path:
    image = io.BytesIO()
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(image, "PNG")
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for entry in entries:
            entry.size = len(image.getvalue()) if entry.isfile() else 0
            tar.addfile(entry, io.BytesIO(image.getvalue()) if entry.isfile() else None)
    return path.parent


@pytest.mark.parametrize(
    "name", ["../0.blur.png", "/etc/0.blur.png", "a/../../0.blur.png", "..\\0.blur.png", "C:\\0.blur.png"]
)
def test_names_with_path_tricks_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    folder = tar_with(tmp_path / "set" / "train-000000.tar", tarfile.TarInfo("0.sharp.png"), tarfile.TarInfo(name))
    with pytest.raises(errors.InputError, match="leads out of its folder; it is refused"):
        imported_pairs_request.maker("webdataset", str(folder), ASKED | {"transfer": "srgb"})


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: pathlib.Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("0.blur.png")
    entry.type, entry.linkname = kind, "/etc/passwd"
    folder = tar_with(tmp_path / "set" / "train-000000.tar", tarfile.TarInfo("0.sharp.png"), entry)
    with pytest.raises(errors.InputError, match="such tars are refused"):
        imported_pairs_request.maker("webdataset", str(folder), ASKED | {"transfer": "srgb"})


def test_tars_with_doubled_keys_other_fields_and_no_split(tmp_path: pathlib.Path) -> None:
    names = (
        "0.lq.png",
        "0.gt.png",
        "1.lq.png",
        "1.lq.png",
        "1.gt.png",
        "2.gt.png",
        "d/0.lq.png",
        "d/0.gt.png",
        "3.txt",
    )
    folder = tar_with(tmp_path / "set" / "part-0.tar", *map(tarfile.TarInfo, names))
    asked = ASKED | {"transfer": "srgb"}
    with pytest.raises(errors.RecipeError, match=r"which split part-0\.tar/"):
        imported_pairs_request.maker("webdataset", str(folder), asked)
    made = imported_pairs_request.maker("webdataset", str(folder), asked | {"split": "test"})
    assert [made.sources[pair.blurred].name for pair in made.pairs] == ["part-0.tar/0.lq.png", "part-0.tar/d/0.lq.png"]
    assert {left.name: left.reason for left in made.left_out} == {
        "part-0.tar/1.lq.png": "is in its tar more than once",
        "part-0.tar/1.gt.png": "has no blurred image of its name",
        "part-0.tar/2.gt.png": "has no blurred image of its name",
    }
    (folder / "train-0.tar").write_bytes((folder / "part-0.tar").read_bytes()[:700])
    with pytest.raises(errors.InputError, match=r"train-0\.tar is damaged"):
        imported_pairs_request.maker("webdataset", str(folder), asked | {"split": "test"})


def test_an_export_that_lost_files_or_was_not_finished(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    export.export(pairs.path, tmp_path / "out", "flat")
    lost = sorted((tmp_path / "out" / "train" / "input").iterdir())[0]
    lost.unlink()
    with pytest.raises(errors.InputError, match="train has 17 pairs that can be used, exported were 18"):
        imported_pairs_request.maker("flat", str(tmp_path / "out"), ASKED)
    text = (tmp_path / "out" / "blursynth.json").read_text()
    (tmp_path / "out" / "blursynth.json").write_text(text.replace('"complete": true', '"complete": false'))
    with pytest.raises(errors.InputError, match="an export that was not finished"):
        imported_pairs_request.maker("flat", str(tmp_path / "out"), ASKED)


@pytest.mark.parametrize("layout", ["gopro", "flat", "webdataset", "kohler", "lai"])
def test_folders_without_pairs(tmp_path: pathlib.Path, layout: str) -> None:
    with pytest.raises(errors.InputError, match="There is no folder"):
        imported_pairs_request.maker(layout, str(tmp_path / "nowhere"), ASKED)
    noise(tmp_path / "set" / "photo.png")
    with pytest.raises(errors.BlursynthError, match=str(tmp_path / "set")):
        imported_pairs_request.maker(layout, str(tmp_path / "set"), ASKED)


def test_more_pairs_of_a_folder_are_appended(tmp_path: pathlib.Path) -> None:
    """They follow what is there, though their names and split come first; then the dataset is as any other."""
    folder, out = kinds.pair_files(tmp_path / "set"), tmp_path / "a.zarr"
    options = {"transfer": "srgb", "size": 20, "per_pair": 2, "shard_length": 3}
    before = imported("flat", folder, out, **options)
    stored = {name: before.read(name, range(before.items)) for name in ("blurred", "sharp")}
    for name in ("input", "target"):
        noise(folder / "train" / name / "0-first.png", 40, 50)
        noise(folder / "val" / name / "9.png", 40, 50)
    longer = imported_pairs_request.maker("flat", str(folder), ASKED | options)
    with pytest.raises(errors.DatasetError, match=r"--append to add to it"):
        run.produce(longer, out)
    outcome = run.produce(longer, out, append=True)
    assert (outcome.made, outcome.resumed) == (4, 10)
    grown = reader.open(out)
    assert (before.items, grown.items) == (8, 12)
    for name, values in stored.items():
        assert np.array_equal(grown.read(name, range(8)), values)
    added = [grown.sources[k]["name"] for k in grown.columns["blurred_source"][8:]]
    assert added == ["train/input/0-first.png"] * 2 + ["val/input/9.png"] * 2
    assert [grown.splits[k] for k in grown.columns["split"][8:]] == ["train"] * 2 + ["val"] * 2
    found = verify.verify(out)
    assert (found.sound, found.compared) == (True, 12)
    shard = out / "sharp" / "c" / "3" / "0" / "0" / "0"
    data = shard.read_bytes()
    shard.write_bytes(data[:-9])
    assert repair.repair(out).unhealed == ()
    assert shard.read_bytes() == data
    assert replay.replay(out, 11).equal
    assert run.produce(longer, out).nothing_to_do


def test_pairs_that_changed_their_split_are_not_appended_to(tmp_path: pathlib.Path) -> None:
    kinds.pair_files(tmp_path / "set")
    folder = (tmp_path / "set" / "train").rename(tmp_path / "train")  # it says the split itself
    imported("flat", folder, tmp_path / "a.zarr", transfer="srgb")
    folder = folder.rename(tmp_path / "test")
    for name in ("input", "target"):
        noise(folder / name / "7.png", 40, 50)
    with pytest.raises(errors.InputError, match=r"belong together otherwise now, or to another split"):
        run.produce(
            imported_pairs_request.maker("flat", str(folder), ASKED | {"transfer": "srgb"}),
            tmp_path / "a.zarr",
            append=True,
        )


def test_what_cannot_be_appended_is_said(tmp_path: pathlib.Path) -> None:
    folder, out = kinds.pair_files(tmp_path / "set"), tmp_path / "a.zarr"
    imported("flat", folder, out, transfer="srgb")
    for name in ("input", "target"):
        noise(folder / "train" / name / "7.png", 40, 50)

    def append(**options: Any) -> None:
        run.produce(
            imported_pairs_request.maker("flat", str(folder), ASKED | {"transfer": "srgb"} | options), out, append=True
        )

    with pytest.raises(errors.DatasetError, match=r"recipe\.transfer: srgb -> linear"):
        append(transfer="linear")
    noise(folder / "train" / "target" / "0.png", 40, 50)
    with pytest.raises(errors.InputError, match=r"Images that .* train/target/0\.png .*Nothing can be added"):
        append()
    imported("flat", kinds.pair_files(tmp_path / "other"), tmp_path / "b.zarr", transfer="srgb")
    for name in ("input", "target"):
        (tmp_path / "other" / "train" / name / "1.png").rename(tmp_path / "other" / "val" / name / "1.png")
        noise(tmp_path / "other" / "train" / name / "7.png", 40, 50)
    with pytest.raises(errors.InputError, match=r"train/input/1\.png"):
        run.produce(
            imported_pairs_request.maker("flat", str(tmp_path / "other"), ASKED | {"transfer": "srgb"}),
            tmp_path / "b.zarr",
            append=True,
        )


def test_reds_is_imported_by_both_layouts_and_exported_by_sequence(
    shared_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    case = shared_data / "cases" / "17-import-reds" / "REDS"
    words = {"blurred": "train_blur", "sharp": "train_sharp", "transfer": "gamma2.2", "split": "train"}
    for layout, folder in (("flat", case), ("gopro", case / "train")):
        dataset = imported(layout, folder, tmp_path / f"{layout}.zarr", **words)
        assert dataset.items == 4
        files = [str(dataset.sources[number]["name"]) for number in dataset.columns["source"]]
        sides = [(file, file.replace("train_blur", "train_sharp")) for file in files]
        for number, both in enumerate(sides):
            for name, file in zip(("blurred", "sharp"), both, strict=True):
                stored = dataset.read(name, [number])[0]
                assert np.array_equal(stored, np.asarray(Image.open(folder / file).convert("RGB"))), file
        out = tmp_path / layout
        export.export(dataset.path, out, "gopro", blurred_as="blur_gamma")
        assert {path.parent.parent.name for path in out.rglob("*.png")} >= {"000", "001"} or layout == "flat"
        assert len({path.parent.parent for path in out.rglob("sharp/*.png")}) == 2


def test_names_that_no_folder_has_are_refused_with_those_there_are(tmp_path: pathlib.Path) -> None:
    noise(tmp_path / "train" / "train_blur" / "000" / "1.png")
    noise(tmp_path / "train" / "train_sharp" / "000" / "1.png")
    for layout in ("flat", "gopro"):
        with pytest.raises(errors.InputError, match=r"train_blurred .* 000, train, train_blur, train_sharp"):
            imported_pairs_request.maker(
                layout, str(tmp_path), ASKED | {"blurred": "train_blurred", "sharp": "train_sharp"}
            )
        with pytest.raises(errors.RecipeError, match="both name"):
            imported_pairs_request.maker(
                layout, str(tmp_path), ASKED | {"blurred": "train_sharp", "sharp": "train_sharp"}
            )


def test_what_is_no_pair_is_listed_with_its_reason(tmp_path: pathlib.Path) -> None:
    for side in ("blur", "sharp"):
        noise(tmp_path / "test" / side / "1.png")
    noise(tmp_path / "test" / "cover" / "x.png")
    (tmp_path / "test" / "blur" / "2.heic").write_bytes(b"x")
    (tmp_path / "test" / "sharp" / ".hidden.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "test" / "blur" / "pipe.png")
    made = imported_pairs_request.maker("flat", str(tmp_path), ASKED | {"transfer": "srgb"})
    assert {left.name: left.reason for left in made.left_out} == {
        "test/blur/2.heic": "is a .heic file, which cannot be read; convert it to PNG, TIFF or JPEG",
        "test/blur/pipe.png": "is a pipe, a socket or a device",
        "test/cover": "has 1 images that are neither in blur nor in sharp",
    }


def test_a_damaged_tar_is_refused_and_a_sound_one_is_whole(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    case = shared_data / "cases" / "27-damaged-tars"
    asked = {"transfer": "srgb", "split": "train"}
    assert imported("webdataset", case / "whole6", tmp_path / "whole.zarr", **asked).items == 6
    with pytest.raises(errors.InputError, match=r"train-000000\.tar is damaged"):
        imported_pairs_request.maker("webdataset", str(case / "bitflip"), ASKED | asked)


def test_compressed_tars_beside_plain_ones_are_listed(tmp_path: pathlib.Path) -> None:
    folder = tar_with(tmp_path / "set" / "train-0.tar", tarfile.TarInfo("0.blur.png"), tarfile.TarInfo("0.sharp.png"))
    (folder / "train-1.tar.gz").write_bytes(b"x")
    made = imported_pairs_request.maker("webdataset", str(folder), ASKED | {"transfer": "srgb"})
    assert [(left.name, left.reason) for left in made.left_out] == [
        ("train-1.tar.gz", "is compressed; decompress it to a .tar")
    ]


@pytest.mark.parametrize("layout", ["flat", "webdataset"])
def test_an_export_whose_files_were_swapped_is_refused(
    pairs: reader.Dataset, tmp_path: pathlib.Path, layout: str
) -> None:
    export.export(pairs.path, tmp_path / "out", layout, pairs_per_tar=1 if layout == "webdataset" else None)
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".tar"))
    content = files[0].read_bytes()
    files[0].write_bytes(files[1].read_bytes())
    files[1].write_bytes(content)
    with pytest.raises(errors.InputError, match="2 files are not those that were exported"):
        imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED)
    imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED | {"partial": True})


@pytest.mark.parametrize("content", [b"", b"{", b'{"written_by": "blurs', b"\xff\xfe", b"{}", b"[]", b"null"])
def test_a_damaged_manifest_is_not_taken_for_another_programs(tmp_path: pathlib.Path, content: bytes) -> None:
    tree(tmp_path)
    (tmp_path / "blursynth.json").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"blursynth\.json is damaged"):
        imported_pairs_request.maker("gopro", str(tmp_path), ASKED | {"partial": True})


@pytest.mark.parametrize("layout", ["flat", "webdataset"])
def test_a_record_of_files_that_is_lost_or_damaged_is_refused(
    pairs: reader.Dataset, tmp_path: pathlib.Path, layout: str
) -> None:
    export.export(pairs.path, tmp_path / "out", layout)
    record, manifest = tmp_path / "out" / "digests.csv", tmp_path / "out" / "blursynth.json"
    whole = record.read_bytes()
    imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED)
    cut = whole[: whole.index(b"\n") + 1]
    for content in (b"", cut, whole[:-1], None):
        record.unlink() if content is None else record.write_bytes(content)
        with pytest.raises(errors.InputError, match=r"digests\.csv, the SHA-256 of every file, is"):
            imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED)
        imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED | {"partial": True})
    older = json.loads(manifest.read_text())
    del older["digests_sha256"]  # an export of an older version
    manifest.write_text(json.dumps(older))
    imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED)
    record.write_bytes(cut)
    with pytest.raises(errors.InputError, match=r"files are not in digests\.csv"):
        imported_pairs_request.maker(layout, str(tmp_path / "out"), ASKED)


def test_a_part_of_an_export_is_checked_as_the_export_is(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    """Its light too: the folder is called after codes that were averaged, and blursynth.json above says gamma 2.2."""
    out = tmp_path / "out"
    export.export(pairs.path, out, "gopro", blurred_as="blur")
    train, sequence = out / "train", out / "train" / "pairs_00000"
    for folder in (train, sequence):
        made = imported_pairs_request.maker("gopro", str(folder), ASKED | {"split": "train"})
        assert (len(made.pairs), made.recipe.transfer) == (18, "gamma2.2")
    files = sorted((sequence / "sharp").iterdir())
    content = files[0].read_bytes()
    files[0].write_bytes(files[1].read_bytes())
    for folder in (train, sequence):
        with pytest.raises(errors.InputError, match="1 files are not those that were exported"):
            imported_pairs_request.maker("gopro", str(folder), ASKED | {"split": "train"})
    files[0].write_bytes(content)
    for side in ("blur", "sharp"):
        (sequence / side / files[1].name).unlink()
    for folder in (train, sequence):
        with pytest.raises(errors.InputError, match="has 17 pairs that can be used, exported were 18"):
            imported_pairs_request.maker("gopro", str(folder), ASKED | {"split": "train"})
    other = tree(out / "other")  # lies in an export's folder and is no part of it
    assert imported_pairs_request.export_of(image_files.Files(str(other))) is None


@pytest.mark.parametrize("name", ["blursynth.json", "digests.csv"])
def test_what_says_that_a_folder_is_an_export_is_never_passed_over(
    pairs: reader.Dataset, tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export.export(pairs.path, out, "flat")
    whole = source_file.raw

    def unseen(path: Any, *more: Any) -> tuple[bytes, int]:
        if pathlib.Path(path).name == name:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return whole(path, *more)

    monkeypatch.setattr(source_file, "raw", unseen)
    with pytest.raises(errors.SourceError, match=name):
        imported_pairs_request.maker("flat", str(out), ASKED)
    monkeypatch.setattr(source_file, "raw", whole)
    (out / name).unlink()
    (out / name).mkdir()
    with pytest.raises(errors.InputError, match=f"{name} is a folder"):
        imported_pairs_request.maker("flat", str(out), ASKED)


def test_a_table_that_was_emptied_is_named(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    export.export(pairs.path, tmp_path / "out", "flat")
    (tmp_path / "out" / "pairs.csv").write_text("")
    with pytest.raises(errors.InputError, match=r"pairs\.csv, what each pair is, is not as it was written"):
        imported_pairs_request.maker("flat", str(tmp_path / "out"), ASKED)
