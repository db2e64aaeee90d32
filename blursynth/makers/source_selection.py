"""Which photos become pairs, and in which split each one is."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.config import photo_pairs
from blursynth.makers import pairs
from blursynth.sources import source as sources_
from blursynth.sources import splits
from blursynth.storage import provenance, reader


def usable(
    found: sources_.Sources, request: photo_pairs.PhotoPairs, strict: bool
) -> tuple[list[int], list[sources_.Skipped]]:
    """Positions of the photos that are large enough, and those left out with the reason."""
    left_out = list(found.skipped)
    used = []
    for position, source in enumerate(found.sources):
        reason = request.too_small(source.height, source.width)
        if reason is None:
            used.append(position)
        else:
            left_out.append(sources_.Skipped(source.name, reason))
    if strict and left_out:
        raise errors.InputError(f"{left_out[0].name}: {left_out[0].reason}. Without --strict it is left out.")
    if not used:
        shown = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:5])
        raise errors.InputError(f"None of the {len(left_out)} photos can be used ({shown}).")
    if request.size is None:
        pairs.check_one_size("photos", [found.sources[k] for k in used])
    return used, left_out


def split(
    photos: Sequence[sources_.Source], generations: Sequence[int], seed: int, shares: photo_pairs.Splits
) -> list[int]:
    """One of pairs.SPLITS per photo. Each generation is divided by itself, but for copies of earlier photos."""
    by_name = {"train": shares.train, "val": shares.val, "test": shares.test}
    known: dict[str, int] = {}
    for first, stop in itertools.pairwise((0, *generations)):
        fresh = [photo for photo in photos[first:stop] if photo.sha256 not in known]
        assigned = splits.assign(fresh, seed, by_name).tolist()
        known |= {photo.sha256: split for photo, split in zip(fresh, assigned, strict=True)}
    return [known[photo.sha256] for photo in photos]


def require_unchanged(
    path: str, listed: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], things: str
) -> None:
    """Raise InputError where sources of the dataset at `path` are gone or have changed, so that it cannot grow."""
    lost = provenance.lost_sources(listed, now)
    if lost:
        more = f"; and {len(lost) - 5} more" if len(lost) > 5 else ""
        raise errors.InputError(
            f"{things} that {path} was made from are not what they were: {'; '.join(lost[:5])}{more}. Nothing can be "
            "added until they are."
        )


def generations(there: reader.Dataset, before: int, now: int) -> tuple[int, ...]:
    """How many sources there were each time that a dataset grew, when it grows from `before` to `now` of them."""
    begun = there.attributes["extra"].get("generations", [before])
    return (*(count for count in begun if count <= before and count < now), now)
