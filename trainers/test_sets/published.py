"""Benchmarks in the folders in which their authors publish them."""

import fnmatch
import pathlib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from blursynth import errors
from blursynth.media import listing, pair_names, source_file
from trainers.test_sets import folders, items

Path = pathlib.Path

REALBLUR_IMAGES = 980
LAI_SCENES = 25
LAI_CLASSES = ("manmade", "natural", "people", "saturated", "text")
_SEQUENCE = re.compile(r"GOPR\d{4}_\d\d_\d\d")
_GOPRO = {("blur", "sharp"), ("blur_gamma", "sharp")}


def realblur(folder: Path, part: str) -> items.TestSet:
    """RealBlur (Rim et al. 2020): its test list beside the scenes, a line "sharp blurred" an image. `part`: J or R."""
    part = (part or "J").upper()
    list_file = folder / f"RealBlur_{part}_test_list.txt"
    if part not in ("J", "R") or not source_file.is_file(list_file):
        raise errors.InputError(
            f"{list_file} is missing: RealBlur's test images are those of its published list. Put it there, or give "
            "--part J or R."
        )
    files: dict[str, tuple[Path, list[Path]]] = {}
    groups, missing = {}, []
    text = source_file.read(list_file)
    with errors.boundary(list_file, "a list of images"):
        lines = [line.split()[:2] for line in text.decode().split("\n") if line.strip()]
        named = [(sharp, blurred) for sharp, blurred in lines]
    for sharp, blurred in ((folder / left, folder / right) for left, right in named):
        missing += [str(path.relative_to(folder)) for path in (sharp, blurred) if not source_file.is_file(path)]
        name = f"{blurred.parent.parent.name}/{blurred.stem}"
        other, groups[name] = files.setdefault(name, (blurred, [sharp])), blurred.parent.parent.name
        if other != (blurred, [sharp]):
            pairs = " and ".join(f"{left} with {right}" for left, (right,) in (other, (blurred, [sharp])))
            raise errors.InputError(f"{list_file} has two pairs named {name}: {pairs}. Remove one of them.")
    if missing:
        raise errors.InputError(f"{len(missing)} files of {list_file} are missing: {items.listed(missing)}.")
    note = items.expect(len(files), REALBLUR_IMAGES, f"test images of RealBlur-{part}")
    about = f"RealBlur-{part} test list" + (f" ({note})" if note else "")
    return items.from_files(str(folder), files, about, groups=groups)


def lai(folder: Path, part: str) -> items.TestSet:
    """Lai et al. 2016: `ground_truth/SCENE.png`, `uniform/SCENE_kernel_NN.png`, `nonuniform/SCENE_gyro_NN.png`, `real`.

    `part` is "uniform" (the default), "nonuniform", or "real": 100 photos without ground truth, for sheets alone.
    """
    part = part or "uniform"
    if part == "real":
        found = items.photos_in(_first(folder, ("real", "real_dataset")))
        note = items.expect(len(found), 100, "real photos of Lai et al.")
        about = "Lai et al., real photos without ground truth" + (f" ({note})" if note else "")
        files = {name: (path, list[Path]()) for name, path in found.items()}
        if not files:
            raise errors.InputError(f"{folder} has no real photos in it.")
        return items.from_files(str(folder), files, about, truth=False)
    if part not in ("uniform", "nonuniform"):
        raise errors.InputError(f'Lai et al. have the parts "uniform", "nonuniform" and "real", not {part!r}.')
    ending = "kernel" if part == "uniform" else "gyro"
    blurred, sharp = items.photos_in(folder / part), items.photos_in(folder / "ground_truth")
    wanted = [
        f"{kind}_{scene:02d}_{ending}_{blur:02d}"
        for kind in LAI_CLASSES
        for scene in range(1, LAI_SCENES // len(LAI_CLASSES) + 1)
        for blur in range(1, 5)
    ]
    files, groups, without = {}, {}, []
    for name, path in blurred.items():
        scene = re.sub(rf"_{ending}_\d+$", "", name)
        if scene not in sharp:
            without.append(name)
            continue
        files[name], groups[name] = (path, [sharp[scene]]), scene
    if without or not files:
        raise errors.InputError(
            f"{len(without)} images in {folder / part} have no image of their scene in ground_truth: "
            f"{items.listed(without)}."
            if without
            else f"{folder / part} has no images in it."
        )
    missing = [name for name in wanted if name not in files]
    note = items.expect(len(files), 4 * LAI_SCENES, f"{part} images of Lai et al.", missing)
    about = f"Lai et al., {part} blur" + (f" ({note})" if note else "")
    return items.from_files(str(folder), files, about, groups=groups)


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    return next((folder / name for name in names if source_file.is_folder(folder / name)), folder / names[0])


def find_layout(folder: Path, named: folders.Words) -> str:
    """Which of the layouts a folder has, "pairs" or "gopro" where its folders are named; InputError where none."""
    if named.blurred or named.sharp:
        return _of_pairs(folder, named) or "pairs"
    inside = source_file.names(folder)
    if source_file.is_folder(folder / "BlurryImages") or fnmatch.filter(inside, "Blurry*_*.png"):
        return "kohler"
    if source_file.is_folder(folder / "ground_truth") or source_file.is_folder(folder / "real_dataset"):
        return "lai"
    if fnmatch.filter(inside, "RealBlur_*_test_list.txt"):
        return "realblur"
    found = _of_pairs(folder, named)
    if found:
        return found
    advice = folders.ADVICE
    if fnmatch.filter(inside, "*.tar"):
        advice = "Make a dataset of its tars with `blursynth import webdataset` first."
    raise errors.InputError(
        f"{folder} is neither a dataset of pairs nor a benchmark's folder as published (GOPRO, HIDE, Köhler, Lai, "
        f"RealBlur), nor has it two folders of images that are known as blurred and sharp. {advice}"
    )


def _of_pairs(folder: Path, named: folders.Words) -> str | None:
    """Whether a folder of pairs is one of GOPRO; None where blurred and sharp images cannot be told apart."""
    names = listing.files(folder, listing.PHOTOS).names
    words = set(pair_names.choices(names, named.blurred or None, named.sharp or None))
    if not words:
        return None
    in_sequences = any(pair_names.sequence(name, "sharp") for name in names if "/sharp/" in f"/{name}")
    return "gopro" if words <= _GOPRO and (in_sequences or _SEQUENCE.fullmatch(folder.resolve().name)) else "pairs"


OfPairs = Callable[[Path, folders.Words, str | None], items.TestSet]
OfBenchmark = Callable[[Path, str], items.TestSet]

WITH_SPLITS: Mapping[str, OfPairs] = MappingProxyType({"pairs": folders.pairs, "gopro": folders.gopro})
LAYOUTS: Mapping[str, OfBenchmark] = MappingProxyType({"realblur": realblur, "lai": lai})
