"""Folders of pairs by the names that are in use (`media.pair_names`): GOPRO, REDS, exports of blursynth, and others."""

import collections
import dataclasses
import logging
import pathlib
import re
from collections.abc import Callable, Collection, Sequence

from blursynth import errors
from blursynth.layouts import exported
from blursynth.media import listing, pair_names
from blursynth.stores import store
from trainers.test_sets import items

GOPRO_IMAGES = 1111
ALL = "all"
"""Instead of a split's name: every pair."""

_CLIP = re.compile(r"/\d+from([^/]+)$")  # HIDE: 12fromGOPR0950.png; its folders tell kinds of scenes, not clips
_HELD_OUT = ("test", "val")
_LIGHT = {"blur_gamma": "gamma2.2", "blur": "linear"}
_ENDINGS = ", ".join(sorted(listing.PHOTOS.endings))
ADVICE = (
    "Name the two folders, as far as their names are not known, with --blurred NAME --sharp NAME: each stands anywhere "
    "on the way to the images, such as --blurred test --sharp GT."
)
"""What to do where blurred and sharp images cannot be told apart."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Words:
    """The names of the folders of blurred and of sharp images, as `media.pair_names` takes them; "" is not said."""

    blurred: str = ""
    sharp: str = ""


def pairs(folder: pathlib.Path, named: Words, split: str | None = None) -> items.TestSet:
    """Blurred and sharp images in two folders, below or above those of splits and sequences.

    `named`: what the two folders are called, where their names are not known or there are several. Of several splits,
    `split` is taken: by default test, or where there is none val, or the only one.
    """
    names = _images(folder)
    words = _words(folder, names, named, split)
    ours = _export(folder)
    if ours is not None and ours.manifest["layout"] == "gopro":
        return gopro(folder, named, split)
    found, chosen = _chosen(folder, names, words, split)
    about = "a folder of pairs, of unknown blur" if ours is None else f"an export of {_command(ours)}"
    light = str(ours.manifest["transfer_function"]) if ours else None
    require = _as_exported(folder, ours, found, split) if ours else None
    return _test_set(folder, found, words, f"split {chosen}, {about}" if chosen else about, light, require=require)


def _words(folder: pathlib.Path, names: Sequence[str], named: Words, split: str | None) -> tuple[str, str]:
    """The two words that tell blurred from sharp images; InputError where there are none, or several."""
    for word in (named.blurred, named.sharp):
        if word and not pair_names.has(names, word):
            raise errors.InputError(f"No image below {folder} has a folder {word} on its way to it. {ADVICE}")
    words = pair_names.choices(names, named.blurred or None, named.sharp or None)
    if words and set(words) <= set(pair_names.KNOWN_BESIDE):  # each is of a split
        by_split = {pair_names.split_in((blurred,)): (blurred, sharp) for blurred, sharp in words}
        default = next(each for each in (*_HELD_OUT, *by_split) if each in by_split)
        words = [by_split[split or default]] if (split or default) in by_split else words
    if len(words) == 1:
        return words[0]
    shown = ", ".join(f"{blurred}/ and {sharp}/" for blurred, sharp in words or pair_names.KNOWN)
    if words:
        raise errors.InputError(f"{folder} has several pairs of folders ({shown}). {ADVICE}")
    raise errors.InputError(f"{folder} has no images in two folders of known names ({shown}). {ADVICE}")


def gopro(folder: pathlib.Path, named: Words, split: str | None = None) -> items.TestSet:
    """GOPRO_Large (Nah et al. 2017): `SPLIT/SEQUENCE/{blur,blur_gamma,sharp}`, one of its splits, or one sequence.

    The blurred images are "blur_gamma" (the default: averaged in linear light) or "blur" (encoded values averaged);
    `split` as of `pairs`.
    """
    if named.blurred not in ("", *_LIGHT) or named.sharp not in ("", "sharp"):
        other = named.blurred if named.blurred not in ("", *_LIGHT) else named.sharp
        raise errors.InputError(f'GOPRO has the parts "blur_gamma" and "blur" beside "sharp", not {other!r}.')
    names = _images(folder)
    blurred = named.blurred or next((word for word in _LIGHT if pair_names.has(names, word)), "blur_gamma")
    if not pair_names.has(names, blurred) or not pair_names.has(names, "sharp"):
        raise errors.InputError(f"{folder} has no sequences of GOPRO in it (folders {blurred} and sharp with images).")
    ours = _export(folder)
    found, chosen = _chosen(folder, names, (blurred, "sharp"), split)
    if ours is not None:
        about = f"split {chosen or ALL}, {blurred}, an export of {_command(ours)}"
        light = str(ours.manifest["transfer_function"])
        require = _as_exported(folder, ours, found, split)
        return _test_set(folder, found, (blurred, "sharp"), about, light, folder.resolve().name, require)
    about = f"GOPRO {chosen or 'test'} set, {blurred}"
    if chosen in ("", "test") and (note := items.expect(len(found), GOPRO_IMAGES, "test images of GOPRO")):
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
    found = _of_one_split(pair_names.find(names, *words))
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
        shown = items.listed([f"{left.name} ({left.reason})" for left in left_out])
        raise errors.InputError(
            f"{folder} has {len(left_out)} images without one partner: {shown}. Add or remove them; nothing was scored."
        )
    if not kept:
        known = ", ".join([*there, ALL])
        raise errors.InputError(f"{folder} has no pairs in the split {chosen!r}; give --split one of {known}.")
    if found.elsewhere:
        other = items.listed(found.elsewhere)
        _log.warning("%d images of %s are neither in %s nor in %s: %s.", len(found.elsewhere), folder, *words, other)
    return kept, chosen


def _of_one_split(found: pair_names.Pairs) -> pair_names.Pairs:
    """Where the word for blurred images is a split (HIDE), the sharp folder has images of other splits as well.

    Those without a partner are told and no fault; nothing says which of them belong to a blurred image that is lost.
    """
    if pair_names.split_in(found.words[:1]) is None:
        return found
    others = [left.name for left in found.left_out if not pair_names.has([left.name], found.words[0])]
    if others:
        shown = items.listed(others)
        _log.warning("%d images in %s have none in %s and are passed over: %s.", len(others), *found.words[::-1], shown)
    left_out = [left for left in found.left_out if left.name not in set(others)]
    return dataclasses.replace(found, left_out=left_out)


def _test_set(
    folder: pathlib.Path,
    pairs_: Sequence[tuple[str, str]],
    words: tuple[str, str],
    about: str,
    light: str | None,
    group: str = "",
    require: Callable[[Collection[items.File]], None] | None = None,
) -> items.TestSet:
    """Items are named by their sequence and file; those of a sequence are a group, others `group`, or one each.

    Those of HIDE are in the group of their clip.
    """
    splits = {pair_names.split_of("", pair) for pair in pairs_}
    files, groups = {}, {}
    for blurred, sharp in pairs_:
        sequence = pair_names.sequence(blurred, words[0])
        split = pair_names.split_of("", (blurred, sharp)) if len(splits) > 1 else ""
        name = "/".join(each for each in (split, sequence, pathlib.PurePosixPath(sharp).stem) if each)
        files[name] = (folder / blurred, [folder / sharp])
        clip = _CLIP.search(name) if pair_names.split_in(words[:1]) else None
        groups[name] = clip[1] if clip else sequence or group or name
    if len(files) < len(pairs_):
        raise errors.InputError(f"{folder} has several pairs of one sequence and name; score its folders one by one.")
    return items.from_files(str(folder), files, about, transfer_function=light, groups=groups, require=require)


def _as_exported(
    folder: pathlib.Path, export: exported.Export, pairs_: Sequence[tuple[str, str]], split: str | None
) -> Callable[[Collection[items.File]], None]:
    """What raises InputError where the pairs of an export and their files are not those that were exported.

    `split`: the one asked for; by default the first of test, val and the others that was exported, whether or not
    anything of it is there.
    """
    exported_splits = export.manifest["pairs"]
    default = next((each for each in (*_HELD_OUT, *exported_splits) if each in exported_splits), "")
    counts = collections.Counter(export.below or pair_names.split_of("", pair) for pair in pairs_)
    above = f"{export.below}/" if export.below else ""

    def require(files: Collection[items.File]) -> None:
        digests = {f"{above}{file.path.relative_to(folder).as_posix()}": file.sha256 for file in files}
        lines = exported.unlike(export, counts, digests, "" if split == ALL else split or default)
        if lines:
            listed = "\n".join(f"  {line}" for line in lines)
            raise errors.InputError(
                f"{folder} is not as it was exported:\n{listed}\nComplete it by the export's command, which is safe to "
                f"run again. To score it as it is, remove {export.root}/{exported.MANIFEST}."
            )

    return require


def _export(folder: pathlib.Path) -> exported.Export | None:
    return exported.find(store.normalise(folder))


def _command(export: exported.Export) -> str:
    command = export.manifest["dataset"].get("command")
    return f"a dataset made by: {command}" if command else "a dataset"
