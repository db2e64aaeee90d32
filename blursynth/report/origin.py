"""Where a dataset comes from, for its page: the command, the recipe, versions, fingerprints, sources."""

import collections
import dataclasses
import shlex
from typing import Any

from blursynth.storage import reader

SOURCES_SHOWN, SKIPPED_SHOWN = 20, 50
_REPLACING = ("--overwrite", "--yes", "-y")
_LINE = 76  # characters of a command that are left on one line


@dataclasses.dataclass(frozen=True)
class Command:
    """How to make the dataset again. lines: the command, empty where none is recorded. growth: by --append."""

    text: str
    lines: str = ""
    growth: str = ""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The rows of a table, and what stands above it."""

    text: str
    rows: list[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Everything that the page says of it. facts: names and values. sources: none where it has none."""

    command: Command
    facts: list[tuple[str, str]]
    digests: list[tuple[str, str]]
    recipe: str
    sources: Listing | None
    left_out: Listing


def origin(dataset: reader.Dataset) -> Origin:
    """Gather where a dataset comes from."""
    made = dataset.attributes
    facts = [
        ("made", made["created"].replace("T", " ").replace("+00:00", " UTC")),
        ("seed", str(made["seed"])),
        ("format", f"version {made['format_version']}, shards of {made['shard_length']:,} items"),
        *made["versions"].items(),
    ]
    digests = [("dataset", dataset.fingerprint)]
    if made["sources"]:
        digests.append((f"list of its {made['sources']:,} sources", made["sources_sha256"]))
    return Origin(_command(dataset), facts, digests, made["recipe"].strip(), _sources(dataset), _left_out(dataset))


def _command(dataset: reader.Dataset) -> Command:
    made = dataset.attributes
    if not made["command"]:
        return Command(f"No command is recorded; the recipe below, with seed {made['seed']}, made it.")
    inputs = ", ".join(made.get("inputs", {}))
    where = f", in a folder where its paths lead to the {inputs}" if inputs else ""
    version = made["versions"]["blursynth"]
    growth = ""
    if made.get("grown_from"):
        counts = ", ".join(f"{before['items']:,}" for before in made["grown_from"])
        growth = (
            f"The dataset has grown by --append, from {counts} items to {made['items']:,}. The command is the one that "
            "was run last; splits of what was added were drawn apart from those before."
        )
    text = f"One click or tap selects the whole command. It was run with blursynth {version}{where}."
    return Command(text, in_lines(made["command"]), growth)


def in_lines(command_line: str) -> str:
    """A command as it was typed, with an option a line where it is long; a shell reads it the same.

    What would replace a dataset that is there is left out: the command is pasted by people who may have one.
    """
    try:
        words = [word for word in shlex.split(command_line) if word not in _REPLACING]
    except ValueError:  # recorded by something that does not quote
        return command_line
    if len(shlex.join(words)) <= _LINE:
        return shlex.join(words)
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("-") and len(word) > 1:
            lines.append([])
        lines[-1].append(shlex.quote(word))
    return " \\\n  ".join(" ".join(line) for line in lines)


def _sources(dataset: reader.Dataset) -> Listing | None:
    """What was blurred, with the number of items that each source gave."""
    listed = dataset.sources
    if not listed:
        return None
    counts = collections.Counter[int]()
    for name in ("source", "blurred_source"):  # an imported pair is of two files
        if name in dataset.columns:
            counts.update(dataset.columns[name].tolist())
    rows = [_source(listed[k], counts[k]) for k in range(min(SOURCES_SHOWN, len(listed)))]
    text = f"{len(listed):,} sources; items name {len(counts):,} of them."
    if len(listed) > len(rows):
        text += f" The first {len(rows)} are shown; the dataset lists all."
    return Listing(text, rows)


def _source(source: dict[str, Any], items: int) -> tuple[str, ...]:
    size = f"{source['width']} x {source['height']}" if "width" in source else ""
    size_bytes = f"{source['bytes']:,}" if "bytes" in source else ""
    return str(source["name"]), f"{items:,}", size, size_bytes, str(source.get("sha256", ""))[:16]


def _left_out(dataset: reader.Dataset) -> Listing:
    """What could not be used, and why."""
    skipped = dataset.attributes.get("skipped", [])
    invalid = dataset.attributes["items"] - dataset.items
    if not skipped and not invalid:
        return Listing("Nothing.", [])
    text = f"{invalid:,} of {dataset.attributes['items']:,} planned items could not be made."
    if len(skipped) > SKIPPED_SHOWN:
        text += f" The first {SKIPPED_SHOWN} of {len(skipped):,} reasons are shown; the dataset lists all."
    return Listing(text, [(left["name"], left["reason"]) for left in skipped[:SKIPPED_SHOWN]])
