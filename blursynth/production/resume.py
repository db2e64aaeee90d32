"""What a run has to do, seen from what is there already. Reads only, so that a dry run sees what a run would."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.production import maker as makers
from blursynth.production import plan, retries
from blursynth.storage import growth, provenance, reader, stray_objects, writer


class State(enum.Enum):
    """How a dataset is found."""

    NEW = "to be made"
    REPLACE = "to be replaced"
    RESUME = "begun, to be finished"
    GROW = "finished, to be made longer"
    COMPLETE = "complete"


@dataclasses.dataclass(frozen=True)
class Job:
    """A dataset to be made. `maker` is the one asked for, in the form that goes with what is there.

    `kept`: items of a shorter dataset that grows. `stored`: the group attributes that are there. `strays`: objects
    that a removed run left there.
    """

    maker: makers.Maker
    path: str
    state: State
    kept: int = 0
    stored: Mapping[str, Any] | None = None
    strays: Sequence[str] = ()

    @property
    def identity(self) -> str:
        return provenance.identity(provenance.attributes(self.maker.record(), self.maker.schema))

    def tasks(self) -> list[plan.ShardTask]:
        """The shards that are missing."""
        schema = self.maker.schema
        if self.state is State.COMPLETE:
            return []
        if self.state is State.RESUME:
            return list(plan.shard_tasks(schema, writer.finished(self.path, schema)))
        if self.state is State.GROW:
            finished = growth.finished(self.path, schema) if growth.pending(self.path) else None
            tasks = plan.shard_tasks(schema, finished, self.kept)
            return [task for task in tasks if finished is not None or task.items.stop > self.kept]
        return list(plan.shard_tasks(schema))


def look(maker: makers.Maker, path: str, *, overwrite: bool = False, append: bool = False) -> Job:
    """What there is to do for the dataset that `maker` describes at `path`.

    Another dataset that was begun there, of which nothing was made, is replaced: nothing is lost, and options that
    failed at the first item are in nobody's way when they are mended. Raises DatasetError where another dataset is
    there, or something else, or one with a damaged record, or, with `append`, what cannot grow into the one asked for.
    """
    if append and overwrite:
        raise errors.DatasetError("--append keeps what is there and --overwrite removes it; give one of them.")
    strays = stray_objects.found(path, maker.schema)
    if strays:
        return Job(maker, path, State.NEW, strays=strays)
    stored = reader.stored_attributes(path)
    if stored is None or overwrite:
        return Job(maker, path, State.NEW if stored is None else State.REPLACE)
    reader.require_known_version(path, stored)
    asked = maker
    if maker.shard_length is None:
        maker = makers.with_shard_length(maker, stored["shard_length"])
    growing = growth.pending(path)
    if growing is not None and stored["complete"] and not provenance.differing(stored, growing):
        growing = None  # it has grown; only the note is left
    if append or growing is not None or growth.GROWN_FROM in stored:
        maker = _after(maker, path, stored, append)
    wanted = provenance.attributes(maker.record(), maker.schema)
    if growing is not None and (append or not stored["complete"] or not provenance.differing(growing, wanted)):
        _require_begun(path, growing, wanted)
        return Job(maker, path, State.GROW, growth.kept_items(growing), stored)
    differing = provenance.differing(stored, wanted)
    begun = not stored["complete"] and growth.GROWN_FROM not in stored
    if differing and begun and not append and writer.is_empty(path):
        return Job(asked, path, State.REPLACE)
    may_grow = _may_grow(maker, differing, stored, wanted)
    if not append or not may_grow:
        hint = "--append to add to it, " if may_grow else ""
        writer.require_same(path, stored, wanted, maker.record().sources, hint)
        reader.require_whole(path, stored)
        return Job(maker, path, State.COMPLETE if stored["complete"] else State.RESUME, stored=stored)
    if not stored["complete"]:
        raise errors.DatasetError(
            f"{path} is not finished, so nothing can be added yet. Run the command that began it first: "
            f"{stored['command']}"
        )
    reader.require_whole(path, stored)
    return Job(maker, path, State.GROW, stored["items"], stored)


def _after(maker: makers.Maker, path: str, stored: Mapping[str, Any], append: bool) -> makers.Maker:
    """The maker with the items first that are there."""
    if isinstance(maker, makers.Growing):
        return retries.patiently(lambda: maker.grown_from(reader.Dataset(path, stored)))
    if append:
        raise errors.DatasetError(
            f"A dataset of this kind cannot grow: what is there would change. Make another beside {path}."
        )
    return maker


def _may_grow(
    maker: makers.Maker, differing: Mapping[str, Any], stored: Mapping[str, Any], wanted: Mapping[str, Any]
) -> bool:
    """Whether the wanted dataset is the stored one and more."""
    if not isinstance(maker, makers.Growing) or wanted["items"] <= stored["items"]:
        return False
    return set(differing) <= maker.grows | {"items"}


def _require_begun(path: str, growing: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differences = provenance.differences(growing, wanted)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise errors.DatasetError(
            f"{path} is growing into another dataset than the one asked for; it differs in (begun -> asked for):\n"
            f"{listed}\nFinish that first: {growing['command']}"
        )
