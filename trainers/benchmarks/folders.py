"""Folders of pairs by the names that are in use (`media.pair_names`): GOPRO, REDS, exports of blursynth, and others."""

import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

from blursynth import errors
from blursynth.media import listing, pair_names
from trainers.benchmarks import test_set

GOPRO_IMAGES = 1111
ALL = "all"
"""Instead of a split's name: every pair."""

_HELD_OUT = ("test", "val")
_LIGHT = {"blur_gamma": "gamma2.2", "blur": "linear"}
_ENDINGS = ", ".join(sorted(listing.PHOTOS.endings))
_MANIFEST = "blursynth.json"
_log = logging.getLogger(__name__)


def pairs(folder: pathlib.Path, part: str, split: str | None = None) -> test_set.TestSet:
    """Blurred and sharp images in two folders of known names, below or above those of splits and sequences.

    `part` names the folder of blurred images where there are several. Of several splits, `split` is taken: by default
    test, or where there is none val, or the only one.
    """
    names = _images(folder)
    words = pair_names.choices(names, part or None)
    if len(words) != 1:
        shown = ", ".join(f"{blurred}/ and {sharp}/" for blurred, sharp in words or pair_names.KNOWN)
        if words:
            raise errors.InputError(f"{folder} has several pairs of folders ({shown}); name the blurred one by --part.")
        what = f"no images in a folder {part} beside sharp ones" if part else "no images in two folders of known names"
        raise errors.InputError(f"{folder} has {what} ({shown}).")
    ours = _manifest(folder)
    if ours is not None and ours.get("layout") == "gopro":
        return gopro(folder, part, split)
    found, chosen = _chosen(folder, names, words[0], split)
    about = "a folder of pairs, of unknown blur" if ours is None else f"an export of {_command(ours)}"
    light = str(ours["transfer_function"]) if ours else None
    return _test_set(folder, found, words[0], f"split {chosen}, {about}" if chosen else about, light)


def gopro(folder: pathlib.Path, part: str, split: str | None = None) -> test_set.TestSet:
    """GOPRO_Large (Nah et al. 2017): `SPLIT/SEQUENCE/{blur,blur_gamma,sharp}`, one of its splits, or one sequence.

    `part` is "blur_gamma" (the default: averaged in linear light) or "blur" (encoded values averaged); `split` as of
    `pairs`.
    """
    if part not in ("", *_LIGHT):
        raise errors.InputError(f'GOPRO has the parts "blur_gamma" and "blur", not {part!r}.')
    names = _images(folder)
    blurred = part or next((word for word in _LIGHT if pair_names.has(names, word)), "blur_gamma")
    if not pair_names.has(names, blurred) or not pair_names.has(names, "sharp"):
        raise errors.InputError(f"{folder} has no sequences of GOPRO in it (folders {blurred} and sharp with images).")
    ours = _manifest(folder)
    found, chosen = _chosen(folder, names, (blurred, "sharp"), split)
    if ours is not None:
        about = f"split {chosen or ALL}, {blurred}, an export of {_command(ours)}"
        return _test_set(
            folder, found, (blurred, "sharp"), about, str(ours["transfer_function"]), folder.resolve().name
        )
    about = f"GOPRO {chosen or 'test'} set, {blurred}"
    if chosen in ("", "test") and (note := test_set.expect(len(found), GOPRO_IMAGES, "test images of GOPRO")):
        about += f" ({note})"
    return _test_set(folder, found, (blurred, "sharp"), about, _LIGHT[blurred], folder.resolve().name)


def _images(folder: pathlib.Path) -> tuple[str, ...]:
    found = listing.files(folder, listing.PHOTOS)
    for sentence in listing.sentences(found.left_out, folder):
        _log.warning("Left out: %s", sentence)
    if not found.names:
        raise errors.InputError(f"{folder} has no images in it (files ending in {_ENDINGS}).")
    return found.names


def _chosen(
    folder: pathlib.Path, names: Sequence[str], words: tuple[str, str], split: str | None
) -> tuple[list[tuple[str, str]], str]:
    """The pairs of a split and its name, which is "" where all are taken.

    InputError where an image of that split has no partner, or several, or there is no such split.
    """
    found = pair_names.find(names, *words)
    root = str(folder.resolve())
    splits = [pair_names.split_of(root, pair) for pair in found.pairs]
    lone = [pair_names.split_of(root, (left.name, left.name)) for left in found.left_out]
    there = sorted({each for each in (*splits, *lone) if each})
    if not there and split not in (None, "test", ALL):
        raise errors.InputError(f"{folder} has no folders called after splits; leave --split {split} out.")
    chosen = ""
    if there and split != ALL and (split is not None or all(splits)):
        chosen = split or next((each for each in (*_HELD_OUT, *there) if each in there), "")
    kept = [pair for pair, each in zip(found.pairs, splits, strict=True) if chosen in ("", each)]
    left_out = [left for left, each in zip(found.left_out, lone, strict=True) if chosen in ("", each)]
    if left_out:
        shown = test_set.listed([f"{left.name} ({left.reason})" for left in left_out])
        raise errors.InputError(
            f"{folder} has {len(left_out)} images without one partner: {shown}. Add or remove them; nothing was scored."
        )
    if not kept:
        known = ", ".join([*there, ALL])
        raise errors.InputError(f"{folder} has no pairs in the split {chosen!r}; give --split one of {known}.")
    if found.elsewhere:
        other = test_set.listed(found.elsewhere)
        _log.warning("%d images of %s are neither in %s nor in %s: %s.", len(found.elsewhere), folder, *words, other)
    return kept, chosen


def _test_set(
    folder: pathlib.Path,
    pairs_: Sequence[tuple[str, str]],
    words: tuple[str, str],
    about: str,
    light: str | None,
    group: str = "",
) -> test_set.TestSet:
    """Items are named by their sequence and file; those of a sequence are a group, others `group`, or one each."""
    splits = {pair_names.split_of("", pair) for pair in pairs_}
    files, groups = {}, {}
    for blurred, sharp in pairs_:
        sequence = pair_names.sequence(blurred, words[0])
        split = pair_names.split_of("", (blurred, sharp)) if len(splits) > 1 else ""
        name = "/".join(each for each in (split, sequence, pathlib.PurePosixPath(sharp).stem) if each)
        files[name], groups[name] = (folder / blurred, [folder / sharp]), sequence or group or name
    if len(files) < len(pairs_):
        raise errors.InputError(f"{folder} has several pairs of one sequence and name; score its folders one by one.")
    return test_set.from_files(str(folder), files, about, transfer_function=light, groups=groups)


def _manifest(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `blursynth export` wrote beside the pairs, a split or a sequence; InputError where it is not complete."""
    for place in (folder, *folder.resolve().parents[:2]):
        path = place / _MANIFEST
        try:
            document = json.loads(path.read_bytes()) if path.is_file() else None
        except (ValueError, RecursionError):
            raise errors.InputError(f"{path} is damaged: not a JSON document. Export the dataset again.") from None
        if isinstance(document, dict) and {"written_by", "transfer_function"} <= document.keys():
            if not document.get("complete"):
                raise errors.InputError(f"{place} is an export that was not finished; run its command again first.")
            return document
    return None


def _command(manifest: dict[str, Any]) -> str:
    dataset = manifest.get("dataset")
    command = dataset.get("command") if isinstance(dataset, dict) else None
    return f"a dataset made by: {command}" if command else "a dataset"
