"""Making one item again from a dataset's record, and comparing it with what is stored."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.makers import registry
from blursynth.production import maker as makers
from blursynth.storage import metadata_digests, provenance, reader
from blursynth.storage import schema as schemas
from blursynth.stores import store

Arrays = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Replay:
    """One item as stored and as made again: by array, without the leading dimension `item`.

    `differences`: for each array that is not equal, the first place where it is not, in words. `source`: the entry of
    the dataset's list of sources, None where there is none. `split`: its name, likewise. `versions`: packages that are
    others now than they were then.
    """

    path: str
    kind: str
    item: int
    shard: int
    stored: Arrays
    made: Arrays
    differences: dict[str, str]
    units: dict[str, str]
    source: Mapping[str, Any] | None
    split: str | None
    versions: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differences


def replay(path: str | os.PathLike[str], item: int, *, moved: Mapping[str, str] | None = None) -> Replay:
    """Make item number `item` again and compare decoded values. Nothing is written.

    Items are numbered as they are stored, those left out included (`Dataset.item_numbers`). `moved`: where photos and
    trajectories lie now. Raises DatasetError where there is no such item or the dataset cannot be read, SourceError
    where its source cannot be read or is another file than it was.
    """
    dataset = reader.open(path)
    attributes = dataset.attributes
    if not metadata_digests.is_whole(attributes):
        raise errors.DatasetError(f"The record of {path} is damaged: see `blursynth verify {path}`.")
    if not 0 <= item < attributes["items"]:
        raise errors.DatasetError(f"{path} has the items 0 to {attributes['items'] - 1}; there is no item {item}.")
    stored = {name: _stored(dataset.path, name, item) for name in attributes["arrays"]}
    source, split = _origin(dataset, stored)
    if schemas.VALID in stored and not stored[schemas.VALID]:
        why = _why_left_out(attributes, source)
        raise errors.DatasetError(f"Item {item} of {path} was left out when the dataset was made{why}.")
    maker = registry.rebuild(attributes, dataset.sources, moved or {})
    made = _make(maker, item)
    found = {name: _difference(stored[name], made[name]) for name in stored}
    return Replay(
        path=dataset.path,
        kind=dataset.kind,
        item=item,
        shard=item // attributes["shard_length"],
        stored=stored,
        made=made,
        differences={name: words for name, words in found.items() if words is not None},
        units={name: str(dataset.attributes_of(name).get("units", "1")) for name in stored},
        source=source,
        split=split,
        versions=tuple(provenance.other_versions(attributes["versions"])),
    )


def _stored(path: str, name: str, item: int) -> npt.NDArray[Any]:
    hint = f"`blursynth verify {path}` names what is damaged, `blursynth repair {path}` makes it again."
    with store.failures(path, f"read {name} of item {item}", hint=hint):
        values: npt.NDArray[Any] = reader.open_array(path, name)[item].read().result()
    return values


def _origin(dataset: reader.Dataset, stored: Arrays) -> tuple[Mapping[str, Any] | None, str | None]:
    """The source and the split that the item's columns name, as far as they name any that there are."""
    source = dataset.sources[int(stored[schemas.SOURCE])] if schemas.SOURCE in stored else None
    split = dataset.splits[int(stored["split"])] if "split" in stored else None
    return source, split


def _why_left_out(attributes: Mapping[str, Any], source: Mapping[str, Any] | None) -> str:
    reasons = {left["name"]: left["reason"] for left in attributes["skipped"]}
    name = source["name"] if source is not None else None
    return f" ({name}: {reasons[name]})" if name in reasons else ""


def _make(maker: makers.Maker, item: int) -> Arrays:
    changed = maker.changed([item]) if isinstance(maker, makers.FromSources) else ()
    if changed:
        raise errors.SourceError(f"Item {item} cannot be made again: its source {changed[0].name} {changed[0].reason}.")
    return {name: values[0] for name, values in maker.make(range(item, item + 1)).items()}


def _difference(stored: npt.NDArray[Any], made: npt.NDArray[Any]) -> str | None:
    """None where both are equal to the bit, else where they first differ and how much of them does."""
    if stored.shape != made.shape or stored.dtype != made.dtype:
        return f"is {stored.dtype} {stored.shape} as stored and {made.dtype} {made.shape} as made again"
    unlike = np.atleast_1d(stored != made)
    if stored.dtype.kind == "f":  # NaN, as what is not measured is stored, equals NaN
        unlike &= ~np.atleast_1d(np.isnan(stored) & np.isnan(made))
    if not unlike.any():
        return None
    first = tuple(int(k) for k in np.argwhere(unlike)[0])
    then, now = np.atleast_1d(stored)[first], np.atleast_1d(made)[first]
    where = f" at {first}" if stored.ndim else ""
    count = f"; {np.count_nonzero(unlike)} of {unlike.size} values differ" if stored.ndim else ""
    return f"differs{where}: {then} is stored, {now} is made again{count}"
