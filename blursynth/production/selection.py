"""Which photos become pairs, and in which split each one is."""

import collections
import itertools
from collections.abc import Sequence

from blursynth import errors
from blursynth.sources import source as sources_
from blursynth.sources import splits
from blursynth.synthesis import recipe

SPLITS = ("train", "val", "test")


def usable(found: sources_.Sources, request: recipe.Convolve, strict: bool) -> tuple[list[int], list[sources_.Skipped]]:
    """Positions of the photos that are large enough, and those left out with the reason."""
    left_out = list(found.skipped)
    used = []
    for position, source in enumerate(found.sources):
        if request.fit == "crop" and request.size is not None and min(source.height, source.width) < request.size:
            size = request.size
            reason = f"{source.width}x{source.height} px is smaller than the crop of {size}x{size}"
            left_out.append(sources_.Skipped(source.name, reason))
        else:
            used.append(position)
    if strict and left_out:
        raise errors.InputError(f"{left_out[0].name}: {left_out[0].reason}. Without --strict it is left out.")
    if not used:
        shown = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:5])
        raise errors.InputError(f"None of the {len(left_out)} photos can be used ({shown}).")
    if request.size is None:
        _check_one_size([found.sources[k] for k in used])
    return used, left_out


def _check_one_size(photos: Sequence[sources_.Source]) -> None:
    sizes = collections.Counter((photo.width, photo.height) for photo in photos)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(4))
        raise errors.InputError(
            f"The photos have {len(sizes)} sizes: {shown}. A dataset of whole photos has one size; give --size to cut "
            "crops, or a folder of photos of one size."
        )


def split(photos: Sequence[sources_.Source], generations: Sequence[int], seed: int, shares: recipe.Splits) -> list[int]:
    """One of SPLITS per photo. Each generation is divided by itself, but for copies of photos of an earlier one."""
    by_name = {"train": shares.train, "val": shares.val, "test": shares.test}
    known: dict[str, int] = {}
    for first, stop in itertools.pairwise((0, *generations)):
        fresh = [photo for photo in photos[first:stop] if photo.sha256 not in known]
        assigned = splits.assign(fresh, seed, by_name).tolist()
        known |= {photo.sha256: split for photo, split in zip(fresh, assigned, strict=True)}
    return [known[photo.sha256] for photo in photos]
