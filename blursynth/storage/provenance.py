"""Where a dataset comes from: the record in its group attributes, and how two records differ."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import blursynth
from blursynth.storage import schema as schemas

# What may differ between the run that began a dataset and the one that continues it.
_INCIDENTAL = frozenset(
    {"command", "created", "inputs", "versions", "complete", "skipped", "valid_items", "fingerprint"}
    | {"documents", "seal", "grown_from", "growth"}
)
_VERSION_OF = ("numpy", "numba", "tensorstore", "opencv-python", "pillow", "av")


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A source or item that was left out, and the sentence that says why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Record:
    """What a dataset is made from.

    `sources`: one mapping a source, in the order that the column `source` counts (name, sha256, height, width,
    bytes). `splits`: the names that the column `split` counts. `skipped`: sources left out before work started.
    `maker`: which of production's makers it was (a name in `production.registry`). `inputs`: where the sources lay, by
    the name of what they are (photos, clips, trajectories); they may lie elsewhere when the dataset is made again.
    `extra`: whatever else makes the dataset what it is, as JSON; a pure function of the recipe and the inputs.
    `created`: UTC.
    """

    recipe_toml: str
    seed: int
    command: str
    sources: tuple[Mapping[str, Any], ...] = ()
    splits: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=lambda: versions())
    created: str = dataclasses.field(default_factory=lambda: now())
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    maker: str = ""
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)


def now() -> str:
    """The time in UTC, as `2025-01-31T12:00:00+00:00`."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of this package and of those that decide what is in a dataset; absent packages are left out."""
    found = {"blursynth": blursynth.__version__}
    for package in _VERSION_OF:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def other_versions(recorded: Mapping[str, str]) -> list[str]:
    """`pillow 11.1.0 then, 12.0.0 now` for every package that is not the one of the record."""
    return [f"{name} {then} then, {now} now" for name, (then, now) in changed_versions(recorded).items()]


def changed_versions(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Package -> version (then, now), "none" where it is absent, for all that are not those of the record."""
    current = versions()
    pairs = {name: (recorded.get(name, "none"), current.get(name, "none")) for name in sorted({*recorded, *current})}
    return {name: (then, now) for name, (then, now) in pairs.items() if then != now}


def attributes(record: Record, schema: schemas.Schema) -> dict[str, Any]:
    """The group attributes of a dataset that is begun: `complete` is false until it is finalised."""
    values = {
        "format_version": schemas.FORMAT_VERSION,
        "kind": schema.kind,
        "complete": False,
        "items": schema.items,
        "shard_length": schema.shard_length,
        "arrays": list(schema.names),
        "recipe": record.recipe_toml,
        "seed": record.seed,
        "command": record.command,
        "versions": dict(record.versions),
        "created": record.created,
        "sources": len(record.sources),
        "sources_sha256": sources_digest(record.sources),
        "splits": list(record.splits),
        "skipped": skipped_attribute(record.skipped),
        "extra": dict(record.extra),
        "maker": record.maker,
        "inputs": dict(record.inputs),
    }
    # As read back from disk (tuples become lists), so that a record equals its own stored form.
    stored: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
    return stored


def recorded(attributes: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> Record:
    """The record that these group attributes were made from; the list of sources is stored apart from them."""
    return Record(
        recipe_toml=attributes["recipe"],
        seed=attributes["seed"],
        command=attributes["command"],
        sources=tuple(sources),
        splits=tuple(attributes["splits"]),
        skipped=tuple(Skipped(**entry) for entry in attributes["skipped"]),
        versions=attributes["versions"],
        created=attributes["created"],
        extra=attributes["extra"],
        maker=attributes["maker"],
        inputs=attributes["inputs"],
    )


def sources_digest(sources: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of the list of sources: a source added, removed or changed since shows here."""
    return hashlib.sha256(json.dumps(list(sources), sort_keys=True).encode()).hexdigest()


def skipped_attribute(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    """As stored: each source once, in the order of appearance."""
    once = dict.fromkeys((entry.name, entry.reason) for entry in skipped)
    return [{"name": name, "reason": reason} for name, reason in once]


def differing(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (stored, wanted), None where it is absent, for all that makes the wanted dataset another one."""
    left, right = _comparable(stored), _comparable(wanted)
    pairs = {key: (left.get(key), right.get(key)) for key in sorted({*left, *right})}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """`recipe.motion.anxiety: 0.1 -> 0.2` for everything that makes the wanted dataset another one."""
    lines = []
    for key, (old, new) in differing(stored, wanted).items():
        if key == "sources_sha256":
            lines.append(f"sources: {stored.get('sources')} then, {wanted.get('sources')} now, not the same files")
        else:
            lines.append(f"{key}: {'(none)' if old is None else old} -> {'(none)' if new is None else new}")
    return lines


def source_differences(stored: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """`b.png is gone`, `c.png has changed`, `d.png is new`: what became of the sources since."""
    old = {source["name"] for source in stored}
    added = [f"{source['name']} is new" for source in wanted if source["name"] not in old]
    return lost_sources(stored, wanted) + added


def lost_sources(stored: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """`b.png is gone`, `c.png has changed`: sources that are not what they were."""
    old, new = (
        {source["name"]: (source["sha256"], source.get("beside")) for source in sources} for sources in (stored, wanted)
    )
    gone = [f"{name} is gone or cannot be used any more" for name in old if name not in new]
    return gone + [f"{name} has changed" for name in old if name in new and new[name] != old[name]]


def identity(attributes: Mapping[str, Any]) -> str:
    """A digest of all that makes a dataset what it is: the same for runs that make the same bytes."""
    return hashlib.sha256(json.dumps(_comparable(attributes), sort_keys=True).encode()).hexdigest()


def _comparable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Flat dotted keys of all that has to be equal; the recipe is compared by its values, not as text."""
    kept = {key: value for key, value in stored.items() if key not in _INCIDENTAL | {"sources", "recipe"}}
    kept["recipe"] = tomllib.loads(stored.get("recipe", ""))
    kept["versions"] = {"blursynth": stored.get("versions", {}).get("blursynth")}
    return dict(_flat("", kept))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):  # an empty table is as if there were none
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value
