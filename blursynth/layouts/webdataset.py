"""WebDataset tars: SPLIT-NNNNNN.tar with KEY.blur.png, KEY.sharp.png and KEY.json for each pair.

The layout's rule: a member's name up to the first dot of its file name is the sample's key, the rest its field; members
of a sample follow one another.
"""

import io
import json
import pathlib
import tarfile
from collections.abc import Iterator

import numpy as np

from blursynth import errors
from blursynth.layouts import layout
from blursynth.media import listing, pair_names, photos
from blursynth.sources import image_files, png
from blursynth.storage import provenance

BLUR, SHARP, FACTS = "blur.png", "sharp.png", "json"
# Fields in use, without the image format: ours; and as folders are called elsewhere.
KNOWN = (("blur", "sharp"), ("blurred", "sharp"), ("input", "target"), ("lq", "gt"))
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
MATCHING = (
    "SPLIT-NNNNNN.tar holds for each pair KEY.blur.png, KEY.sharp.png and KEY.json, one after the other; the KEY is "
    "the item's number in the dataset."
)


def units(plan: layout.Plan) -> Iterator[layout.Unit]:
    """A tar each: pairs of one split, in the order of items."""
    for split, name in enumerate(plan.splits):
        positions = np.flatnonzero(plan.split == split).tolist()
        for number, first in enumerate(range(0, len(positions), plan.pairs_per_tar)):
            yield layout.Unit(tuple(positions[first : first + plan.pairs_per_tar]), (tar_name(name, number),))


def tar_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.tar"


def names(plan: layout.Plan, position: int) -> tuple[str, str]:
    """The members of a pair, blurred and sharp, as `TAR/MEMBER`."""
    number = int(plan.rank[position]) // plan.pairs_per_tar
    tar, key = tar_name(plan.split_of(position), number), plan.file_number(position)
    return f"{tar}/{key}.{BLUR}", f"{tar}/{key}.{SHARP}"


def objects(unit: layout.Unit, read: layout.Read, present: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """The tar, if it is not present; the same bytes for the same pairs."""
    (name,) = unit.keys
    if name in present:
        return
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in read(unit.positions):
            key = sample.facts["key"]
            _add(tar, f"{key}.{BLUR}", png.encode(sample.blurred_HWC))
            _add(tar, f"{key}.{SHARP}", png.encode(sample.sharp_HWC))
            _add(tar, f"{key}.{FACTS}", json.dumps(dict(sample.facts), allow_nan=False).encode())
    yield name, whole.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member that says nothing of when and by whom it was written."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))


def find(found: image_files.Files, wanted: layout.Wanted) -> layout.Listing:
    """Pairs of all tars below the root. The split is the tar's name before its number, or a folder's name.

    Raises InputError where there are none or a tar is refused, RecipeError where fields are not known.
    """
    tars = [name for name in found.names if name.endswith(image_files.TAR)]
    if not tars:
        raise errors.InputError(f"{found.root} has no .tar file; compressed ones have to be unpacked first.")
    samples = {tar: _samples(found, tar) for tar in tars}
    fields = {field for sample in samples.values() for field, _, _ in sample}
    blurred, sharp = _fields(found.root, fields, wanted)
    pairs = []
    left_out = []
    for tar in tars:
        doubled = {f"{tar}/{name}" for name in found.tar(tar).doubled}
        left_out += [provenance.Skipped(name, "is in its tar more than once") for name in sorted(doubled)]
        usable = [(field, key, name) for field, key, name in samples[tar] if name not in doubled]
        left, right = ([name for field, _, name in usable if field == side] for side in (blurred, sharp))
        keys = {name: key for _, key, name in usable}
        matched, unmatched = pair_names.matched(left, right, keys.__getitem__)
        left_out += layout.skipped(unmatched)
        split = _split(tar, wanted.split)
        pairs += [layout.Pair(*both, split) for both in matched]
    if not pairs:
        raise errors.InputError(f"{found.root} has no tar with a {blurred} and a {sharp} image of the same key.")
    packed = [name for name in found.names if name.lower().endswith(_COMPRESSED)]
    left_out += [provenance.Skipped(name, "is compressed; decompress it to a .tar") for name in packed]
    return layout.Listing(layout.by_split(pairs), tuple(left_out))


def _samples(found: image_files.Files, tar: str) -> list[tuple[str, str, str]]:
    """(field without image format, key, TAR/MEMBER) of every image of a tar."""
    samples = []
    for name in found.tar(tar).members:
        path = pathlib.PurePosixPath(name)
        stem, _, field = path.name.partition(".")
        if listing.ending(path.name) in photos.ENDINGS:
            kind = field[: -len(path.suffix)] if "." in field else ""
            samples.append((kind, (path.parent / stem).as_posix(), f"{tar}/{name}"))
    return samples


def _fields(root: str, there: set[str], wanted: layout.Wanted) -> tuple[str, str]:
    if wanted.blurred and wanted.sharp:
        return wanted.blurred, wanted.sharp
    known = [(left, right) for left, right in KNOWN if left in there and right in there]
    if len(known) == 1:
        return known[0]
    shown = ", ".join(sorted(there)) or "none"
    raise errors.RecipeError(
        f"{root} has tars with the image fields {shown}; name the blurred and the sharp one with --blurred NAME "
        "--sharp NAME, such as blur and sharp for KEY.blur.png and KEY.sharp.png."
    )


def _split(tar: str, asked: str | None) -> str:
    path = pathlib.PurePosixPath(tar)
    words = path.stem.replace("_", "-").split("-")
    return asked or pair_names.split_in([*words, *path.parts[:-1]]) or ""
