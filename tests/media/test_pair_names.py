"""Layouts of pairs that are published: which images belong together, by split and sequence."""

import pytest

from blursynth.media import pair_names

# Layout -> (images, blurred, sharp, what each word leaves: pairs, split, sequence)
PUBLISHED = {
    "REDS": (
        [
            f"train/train_{side}/{clip}/0000000{n}.png"
            for side in ("blur", "sharp")
            for clip in ("000", "001")
            for n in (0, 1)
        ],
        4,
        "train",
        {"000", "001"},
    ),
    "GOPRO": (
        [
            f"test/{clip}/{side}/000001.png"
            for side in ("blur", "sharp")
            for clip in ("GOPR0384_11_00", "GOPR0410_11_00")
        ],
        2,
        "test",
        {"GOPR0384_11_00", "GOPR0410_11_00"},
    ),
    "BSD": (
        [f"BSD_1ms8ms/val/007/{side}/RGB/00000000.png" for side in ("Blur", "Sharp")],
        1,
        "val",
        {"BSD_1ms8ms/007/RGB"},
    ),
    "RealBlur": ([f"scene001/{side}/{side}_{n}.png" for side in ("blur", "gt") for n in (1, 2)], 2, "", {"scene001"}),
    "RSBlur": ([f"0001/000001/{side}/{side}.png" for side in ("real_blur", "gt")], 1, "", {"0001/000001"}),
    "RSBlur as published": (
        [
            *(f"{n}/real_blur/real_blur.png" for n in ("0001", "0002")),
            *(f"{n}/gt/gt_sharp.png" for n in ("0001", "0002")),
        ],
        2,
        "",
        {"0001", "0002"},
    ),
    "DVD": ([f"VID1/{side}/00000.jpg" for side in ("input", "GT")], 1, "", {"VID1"}),
    "flat": ([f"test/{side}/000001.png" for side in ("input", "target")], 1, "test", {""}),
    "words above splits": ([f"{side}/val/000001.png" for side in ("blur", "sharp")], 1, "val", {""}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_pairs_of_published_layouts_are_found_without_naming_folders(name: str) -> None:
    images, count, split, sequences = PUBLISHED[name]
    ((blurred, sharp),) = pair_names.choices(images)
    found = pair_names.find(images, blurred, sharp)
    assert len(found.pairs) == count
    assert (found.left_out, found.elsewhere) == ([], [])
    assert {pair_names.split_of("set", pair) for pair in found.pairs} == {split}
    assert {pair_names.sequence(pair[1], sharp) for pair in found.pairs} == sequences
    half = len(images) // 2
    assert sorted(found.pairs) == sorted(zip(images[:half], images[half:], strict=True))


def test_names_that_are_given_are_folders_at_any_level() -> None:
    reds = [f"train/{side}/000/1.png" for side in ("train_blur", "train_blur_comp", "train_sharp")]
    found = pair_names.find(reds, "train_blur_comp", "train_sharp")
    assert found.pairs == [(reds[1], reds[2])]
    assert found.elsewhere == [reds[0]]
    bsd = [f"000/{side}/RGB/1.png" for side in ("Blur", "Sharp")]
    assert pair_names.find(bsd, "Blur/RGB", "Sharp/RGB").pairs == [tuple(bsd)]
    hide = ["test/1.png", "train/2.png", "GT/1.png", "GT/2.png"]
    found = pair_names.find(hide, "test", "GT")
    assert found.pairs == [("test/1.png", "GT/1.png")]
    assert [(left.name, left.reason) for left in found.left_out] == [("GT/2.png", "has no blurred image of its name")]
    assert pair_names.split_of("HIDE", found.pairs[0]) == "test"


def test_one_flat_folder_beside_folders_is_matched_by_name_alone() -> None:
    """HIDE as published: the sharp images of all blurred ones lie in one folder."""
    blurred = [f"test/{folder}/{n}.png" for folder, n in (("test-close-ups", 1), ("test-long-shot", 2))]
    doubled = [f"test/{folder}/4.png" for folder in ("test-close-ups", "test-long-shot")]
    images = [*blurred, *doubled, "train/3.png", *(f"GT/{n}.png" for n in (1, 2, 3, 4))]
    found = pair_names.find(images, "test", "GT")
    assert found.pairs == [(blurred[0], "GT/1.png"), (blurred[1], "GT/2.png")]
    assert [left.name for left in found.left_out] == ["GT/3.png", "GT/4.png", *doubled]
    assert found.elsewhere == ["train/3.png"]
    assert {pair_names.split_of("HIDE", pair) for pair in found.pairs} == {"test"}
    other_way = pair_names.find(["sharp/A/1.png", "blur/1.png"], "blur", "sharp")
    assert other_way.pairs == [("blur/1.png", "sharp/A/1.png")]


@pytest.mark.parametrize(
    "images", [["blur/A/1.png", "sharp/B/1.png"], ["A/blur/1.png", "B/sharp/1.png"], ["X/blur/A/1.png", "sharp/1.png"]]
)
def test_equal_names_in_other_folders_are_no_pair(images: list[str]) -> None:
    assert pair_names.find(images, "blur", "sharp").pairs == []


def test_all_words_are_taken_out_of_a_file_name() -> None:
    images = ["0001/gt/gt_sharp.png", "0001/real_blur/real_blur.png", "0001/avg65_img/avg_blur.png"]
    for blurred, sharp in (("avg65_img", "gt"), ("avg65_img/", "/gt/")):
        assert pair_names.find(images, blurred, sharp).pairs == [(images[2], images[0])]


def test_several_pairs_of_words_are_told() -> None:
    both = [f"test/A/{side}/1.png" for side in ("blur", "blur_gamma", "sharp")]
    assert pair_names.choices(both) == [("blur_gamma", "sharp"), ("blur", "sharp")]
    assert pair_names.choices(both, "blur") == [("blur", "sharp")]
    assert pair_names.choices(["photos/1.png"]) == []
    assert not pair_names.has(both, "gamma2")


def test_what_has_no_partner_or_several_is_listed() -> None:
    images = ["blur/1.png", "blur/1.jpg", "blur/2.png", "blur/4.png", "sharp/1.png", "sharp/2.png", "sharp/3.png"]
    found = pair_names.find(images, "blur", "sharp")
    assert found.pairs == [("blur/2.png", "sharp/2.png")]
    assert {left.name: left.reason for left in found.left_out} == {
        "blur/1.png": "is one of 2 files of that name",
        "blur/1.jpg": "is one of 2 files of that name",
        "sharp/1.png": "has 2 blurred images of its name",
        "blur/4.png": "has no sharp image of its name",
        "sharp/3.png": "has no blurred image of its name",
    }


def test_words_that_are_splits_count_beside_sharp_images_alone() -> None:
    hide = ["test/test-close-ups/1.png", "train/2.png", "GT/1.png", "GT/2.png"]
    assert pair_names.choices(hide) == [("test", "gt"), ("train", "gt")]
    assert pair_names.choices([f"HIDE/{name}" for name in hide if "train" not in name]) == [("test", "gt")]
    assert pair_names.choices(["test/GT/1.png", "test/other/1.png"]) == []
    assert pair_names.choices(["a/test/1.png", "b/GT/1.png"]) == []
    assert pair_names.choices(["test/blur/1.png", "GT/1.png"]) == [("blur", "gt")]
