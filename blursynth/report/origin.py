"""Where a dataset comes from, as sections of its page: the command, the recipe, versions, fingerprints, sources."""

import collections
import shlex
from typing import Any

from blursynth.report.markup import Markup, element, join, table
from blursynth.storage import reader

SOURCES_SHOWN, SKIPPED_SHOWN = 20, 50
_REPLACING = ("--overwrite", "--yes", "-y")
_LINE = 76  # characters of a command that are left on one line


def command(dataset: reader.Dataset) -> Markup:
    """How to make the dataset again."""
    made = dataset.attributes
    heading = element("h2", "Make it again")
    if not made["command"]:
        text = f"No command is recorded; the recipe below, with seed {made['seed']}, is what it was made from."
        return join(heading, element("p", text))
    inputs = ", ".join(made.get("inputs", {}))
    where = f", in a folder where its paths lead to the {inputs}" if inputs else ""
    told = (
        f"One click or tap selects the whole command. It was run with blursynth {made['versions']['blursynth']}{where}."
    )
    parts = [heading, element("p", told), element("pre", element("code", in_lines(made["command"])), class_="copy")]
    if made.get("grown_from"):
        counts = ", ".join(f"{before['items']:,}" for before in made["grown_from"])
        text = (
            f"The dataset has grown by --append, from {counts} items to {made['items']:,}. The command is the one that "
            "was run last; splits of what was added were drawn apart from those before."
        )
        parts.append(element("p", text, class_="note"))
    return join(*parts)


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


def provenance(dataset: reader.Dataset) -> Markup:
    """Recipe, seed, versions and fingerprints."""
    made = dataset.attributes
    facts: list[tuple[str, str]] = [
        ("made", made["created"].replace("T", " ").replace("+00:00", " UTC")),
        ("seed", str(made["seed"])),
        ("format", f"version {made['format_version']}, shards of {made['shard_length']:,} items"),
        *((name, version) for name, version in made["versions"].items()),
    ]
    hashes = [("dataset", dataset.fingerprint)]
    if made["sources"]:
        hashes.append((f"list of its {made['sources']:,} sources", made["sources_sha256"]))
    lines = [
        element("p", f"{what}: ", element("code", digest, class_="hash"), class_="digest") for what, digest in hashes
    ]
    return join(
        element("h2", "Where it comes from"),
        fact_list(facts),
        element("h3", "Fingerprints (SHA-256)"),
        *lines,
        element("h3", "Recipe"),
        element("pre", element("code", made["recipe"].strip())),
    )


def sources(dataset: reader.Dataset) -> Markup:
    """What was blurred, with the number of items that each source gave."""
    listed = dataset.sources
    if not listed:
        return Markup("")
    counts = collections.Counter[int]()
    for name in ("source", "blurred_source"):  # an imported pair is of two files
        if name in dataset.columns:
            counts.update(dataset.columns[name].tolist())
    rows = [_source(listed[k], counts[k]) for k in range(min(SOURCES_SHOWN, len(listed)))]
    text = f"{len(listed):,} sources; items name {len(counts):,} of them."
    if len(listed) > len(rows):
        text += f" The first {len(rows)} are shown; the dataset lists all."
    return join(
        element("h2", "Sources"),
        element("p", text),
        table(("name", "items", "size, px", "bytes", "SHA-256"), rows, words=True),
    )


def _source(source: dict[str, Any], items: int) -> tuple[str, ...]:
    size = f"{source['width']} x {source['height']}" if "width" in source else ""
    size_bytes = f"{source['bytes']:,}" if "bytes" in source else ""
    return str(source["name"]), f"{items:,}", size, size_bytes, str(source.get("sha256", ""))[:16]


def left_out(dataset: reader.Dataset) -> Markup:
    """What could not be used, and why."""
    skipped = dataset.attributes.get("skipped", [])
    invalid = dataset.attributes["items"] - dataset.items
    if not skipped and not invalid:
        return join(element("h2", "Left out"), element("p", "Nothing."))
    text = f"{invalid:,} of {dataset.attributes['items']:,} planned items could not be made."
    if len(skipped) > SKIPPED_SHOWN:
        text += f" The first {SKIPPED_SHOWN} of {len(skipped):,} reasons are shown; the dataset lists all."
    rows = [(left["name"], left["reason"]) for left in skipped[:SKIPPED_SHOWN]]
    return join(element("h2", "Left out"), element("p", text), table(("what", "why"), rows, words=True) if rows else "")


def fact_list(facts: list[tuple[str, str]]) -> Markup:
    """Pairs of a name and a value, side by side where there is room."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
        class_="facts",
    )
