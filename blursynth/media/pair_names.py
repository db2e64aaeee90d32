"""How the blurred and the sharp image of a pair are told from their names, for importing and for scoring.

One word marks the blurred images and one the sharp ones. A word names a folder anywhere on the way to a file (REDS:
train/train_blur/000/00000000.png), or several below one another (`Blur/RGB`), or else is a part of a folder's name
(`blur` of `train_blur`). What is left of both paths, without the words, is the same for the images of a pair. Where no
file names are the same, the words are taken out of them too (RealBlur: gt/gt_1.png and blur/blur_1.png; RSBlur:
gt/gt_sharp.png and real_blur/real_blur.png). Where one side is a single folder and only the other one has folders
below, the file's name alone counts (HIDE: test/test-close-ups/1.png and GT/1.png).
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from blursynth.media import listing

INPUT, TARGET = "input", "target"
KNOWN = (
    (INPUT, TARGET),  # MPRNet, Restormer, NAFNet
    ("input_crops", "target_crops"),  # crops of MPRNet and Restormer
    ("blur_crops", "sharp_crops"),  # crops of NAFNet
    ("blur_gamma", "sharp"),  # GOPRO
    ("blur", "sharp"),  # GOPRO, REDS (train_blur and train_sharp), BSD (Blur/RGB and Sharp/RGB)
    ("blurred", "sharp"),
    ("blurry", "sharp"),
    ("lq", "gt"),  # lists of BasicSR
    ("blur", "gt"),  # RealBlur
    ("blurry", "gt"),
    ("real_blur", "gt"),  # RSBlur
    ("avg_blur", "gt"),
    ("input", "gt"),  # DVD
)
"""Words for blurred and sharp images, in lower case; they are found in any case."""
KNOWN_BESIDE = (
    ("test", "gt"),  # HIDE: test/test-close-ups, test/test-long-shot and train beside GT
    ("train", "gt"),
)
"""As KNOWN, but the word for blurred images says nothing of blur. It counts only where both name folders in one folder,
and no other word is known there.
"""

_SPLITS = {split: split for split in ("train", "val", "test")} | {
    "validation": "val",
    "valid": "val",
    "training": "train",
}
_MARK = "*"  # no folder is called so that a shell can name
_SEPARATORS = re.compile(r"[_.\-\s]+")


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of names, blurred and sharp, by the words that tell them apart, and what has no partner or several.

    elsewhere: files that have neither of the words on their way.
    """

    words: tuple[str, str]
    pairs: list[tuple[str, str]]
    left_out: list[listing.LeftOut]
    elsewhere: list[str]


@dataclasses.dataclass(frozen=True)
class _Side:
    """Files that a word marks: each with the folders on its way, the word taken out, and the word's place in them."""

    word: str
    folders: Mapping[str, tuple[tuple[str, ...], int]]


def choices(names: Sequence[str], blurred: str | None = None, sharp: str | None = None) -> list[tuple[str, str]]:
    """The pairs of words that these names have: known ones, or those given, as far as files have them.

    Of KNOWN_BESIDE there may be several, one for each split; of KNOWN, they are meant for other images each.
    """
    if blurred and sharp:
        return [(blurred, sharp)] if _side(names, blurred).folders and _side(names, sharp).folders else []
    ways = {_folders(name) for name in names}
    for parts in (False, True):
        words = {word for pair in KNOWN for word in pair}
        found = {word: any(_marked(way, word, True, parts) is not None for way in ways) for word in words}
        left = [word for word in dict.fromkeys(left for left, _ in KNOWN) if found[word]]
        right = [word for word in dict.fromkeys(right for _, right in KNOWN) if found[word]]
        if blurred and right:
            return [(blurred, word) for word in right if _side(names, blurred).folders]
        if sharp and left:
            return [(word, sharp) for word in left if _side(names, sharp).folders]
        both = [pair for pair in KNOWN if found[pair[0]] and found[pair[1]]]
        if both:
            return both
    return [] if blurred or sharp else [pair for pair in KNOWN_BESIDE if _are_beside(ways, *pair)]


def _are_beside(ways: Iterable[tuple[str, ...]], *words: str) -> bool:
    """Whether these words name folders with files below, that lie in one folder."""
    above: list[set[tuple[str, ...]]] = [set() for _ in words]
    for way in ways:
        for place, part in enumerate(way):
            if part.lower() in words:
                above[words.index(part.lower())].add(way[:place])
    return bool(set.intersection(*above))


def has(names: Sequence[str], word: str) -> bool:
    """Whether a word marks any of these files."""
    return bool(_side(names, word).folders)


def find(names: Sequence[str], blurred: str, sharp: str) -> Pairs:
    """Pairs of these names by two words. A file with both on its way belongs to the one further down."""
    sides = [_side(names, word) for word in (blurred, sharp)]
    own: list[dict[str, tuple[str, ...]]] = [{}, {}]
    for name in names:
        places = [side.folders[name][1] if name in side.folders else -1 for side in sides]
        if max(places) >= 0:
            which = int(places[1] > places[0])
            own[which][name] = sides[which].folders[name][0]
    keys = {name: folders for side in own for name, folders in side.items()}
    words = [_words_of(word, place) for place, word in enumerate((blurred, sharp))]

    def by_name(name: str) -> str:
        return "/".join((*keys[name], _stem(name)))

    stripped = {name: _without(_stem(name), words[which]) for which, side in enumerate(own) for name in side}
    ways: list[Callable[[str], str]] = [by_name, lambda name: "/".join((*keys[name], stripped[name]))]
    if _is_flat_beside(own[0], own[1]) or _is_flat_beside(own[1], own[0]):
        ways.append(_stem)
    pairs, left_out = matched(own[0], own[1], ways[0])
    for way in ways[1:]:
        if not pairs:
            fewer, others = matched(own[0], own[1], way)
            pairs, left_out = (fewer, others) if fewer else (pairs, left_out)
    return Pairs((blurred, sharp), pairs, left_out, [name for name in names if name not in keys])


def _is_flat_beside(flat: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether one folder has all files of a side, and the folders of the other side go on below its own counterpart."""
    alone = set(flat.values())
    if len(alone) != 1:
        return False
    (above,) = alone
    return all(folders[: len(above)] == above for folders in other.values())


def matched(
    blurred: Iterable[str], sharp: Iterable[str], key: Callable[[str], str]
) -> tuple[list[tuple[str, str]], list[listing.LeftOut]]:
    """Names with the same key belong together; in the order of keys. What has no partner, or several, is left out."""
    sides = []
    left_out = []
    for names in (blurred, sharp):
        by_key: dict[str, list[str]] = collections.defaultdict(list)
        for name in names:
            by_key[key(name)].append(name)
        sides.append(by_key)
    for ours, theirs, other in ((sides[0], sides[1], "sharp"), (sides[1], sides[0], "blurred")):
        for each, names_ in ours.items():
            if len(names_) > 1:
                left_out += [listing.LeftOut(name, f"is one of {len(names_)} files of that name") for name in names_]
            elif each not in theirs:
                left_out.append(listing.LeftOut(names_[0], f"has no {other} image of its name"))
            elif len(theirs[each]) > 1:
                left_out.append(listing.LeftOut(names_[0], f"has {len(theirs[each])} {other} images of its name"))
    common = [each for each in sides[0] if len(sides[0][each]) == 1 and len(sides[1].get(each, ())) == 1]
    pairs = [(sides[0][each][0], sides[1][each][0]) for each in sorted(common)]
    return pairs, sorted(left_out, key=lambda left: left.name)


def split_in(parts: Sequence[str]) -> str | None:
    """The first of these folder names that names a split; `validation` and `valid` do as well."""
    return next((_SPLITS[part.lower()] for part in parts if part.lower() in _SPLITS), None)


def split_of(root: str, pair: tuple[str, str]) -> str:
    """The split of a pair below a root: named by a folder on the way to either file, by the root, or by a part of a
    folder's name (`train_sharp`); "" where nothing says it.
    """
    folders = [part for name in pair[::-1] for part in pathlib.PurePosixPath(name).parts[:-1]]
    folders.append(pathlib.PurePosixPath(root).name)
    parts = [part for folder in folders for part in _SEPARATORS.split(folder)]
    return split_in(folders) or split_in(parts) or ""


def sequence(name: str, word: str) -> str:
    """The folders on the way to a file that name neither a split nor what the word says; "" where there are none."""
    side = _side([name], word)
    folders = side.folders[name][0] if name in side.folders else pathlib.PurePosixPath(name).parts[:-1]
    return "/".join(part for part in folders if _MARK not in part and part.lower() not in _SPLITS)


def sequence_below(name: str, word: str) -> str | None:
    """As `sequence`, where the word names a folder above the one that the file is in; else None."""
    side = _side([name], word)
    above = name in side.folders and _MARK not in side.folders[name][0][-1]
    return sequence(name, word) if above else None


def _side(names: Sequence[str], word: str) -> _Side:
    """The files that a word marks: as it stands, else in any case, else as a part of a folder's name."""
    folders = {name: _folders(name) for name in names}
    ways = set(folders.values())
    for fold, parts in ((False, False), (True, False), (True, True)):
        marked = {way: where for way in ways if (where := _marked(way, word, fold, parts)) is not None}
        if marked:
            return _Side(word, {name: marked[way] for name, way in folders.items() if way in marked})
    return _Side(word, {})


def _folders(name: str) -> tuple[str, ...]:
    return tuple(name.split("/")[:-1])


def _marked(folders: tuple[str, ...], word: str, fold: bool, parts: bool) -> tuple[tuple[str, ...], int] | None:
    """The folders on the way to a file with the last occurrence of the word replaced, and its place; None if none."""
    compared = tuple(part.lower() for part in folders) if fold else folders
    wanted = tuple((word.lower() if fold else word).strip("/").split("/"))
    for first in range(len(folders) - len(wanted), -1, -1):
        if compared[first : first + len(wanted)] == wanted:
            return (*folders[:first], _MARK, *folders[first + len(wanted) :]), first
        if parts and len(wanted) == 1:
            pattern = rf"(?<![^_.\-\s]){re.escape(wanted[0])}(?![^_.\-\s])"
            replaced, count = re.subn(pattern, _MARK, compared[first])
            if count:
                return (*folders[:first], replaced, *folders[first + 1 :]), first
    return None


def _words_of(word: str, side: int) -> list[str]:
    """What may stand in the file names of a side, the longest first: its word and all that are known of it."""
    words = {pair[side] for pair in KNOWN} | {part.lower() for part in word.split("/") if part}
    return sorted(words, key=lambda each: (-len(each), each))


def _stem(name: str) -> str:
    file = name.rpartition("/")[2]
    return file.rpartition(".")[0] or file


def _without(stem: str, words: Sequence[str]) -> str:
    """A file's name without these words at its beginning and its end."""
    patterns = [rf"{re.escape(word)}(?:[_.\-\s]+(.*))?|(.*?)[_.\-\s]+{re.escape(word)}" for word in words]
    while found := next(filter(None, (re.fullmatch(pattern, stem, re.I) for pattern in patterns)), None):
        stem = found[1] or found[2] or ""
    return stem
