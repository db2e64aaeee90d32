"""Record what made each result, so that a command keeps only results that it would make the same.

A result is kept where the same network and options made it from the same bytes and its own bytes are unchanged. Paths
and times do not count.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.media import source_file

RECORD = "blursynth-results.jsonl"
"""A line of JSON for each result in a folder, the last of a name counts; written as results come."""

_SHOWN = 12  # digits of a digest that a sentence gives


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List "key: before -> now" for each value that differs."""
    keys = [key for key in now if before.get(key) != now[key]]
    return [f"{key}: {_short(before.get(key))} -> {_short(now[key])}" for key in keys]


def _short(value: Any) -> str:
    is_digest = isinstance(value, str) and len(value) == 64
    return f"{value[:_SHOWN]}..." if is_digest else repr(value)


def sha256(path: pathlib.Path) -> str:
    """Compute the digest of a file's bytes. Raises SourceError where they cannot be read, to their end."""
    return source_file.digest(path)[0]


class Record:
    """The record of the results in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._path = folder / RECORD
        source_file.require_file(self._path)
        self._entries: dict[str, dict[str, Any]] = {}
        lines = source_file.read(self._path).split(b"\n") if source_file.is_file(self._path) else []
        for line in lines:
            try:
                entry = json.loads(line)
                self._entries[str(entry["result"])] = entry
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut short by a kill, or damaged: its result has no record

    def begin(self, target: pathlib.Path, source: pathlib.Path, source_sha256: str, by: Mapping[str, Any]) -> None:
        """Record that a result is begun; one that is never finished is made again."""
        name = target.relative_to(self._folder).as_posix()
        self._write({"result": name, "source": str(source.resolve()), "source_sha256": source_sha256, "by": dict(by)})

    def finish(self, target: pathlib.Path) -> None:
        """Record that a result is written, whole."""
        self._write(self._entries[target.relative_to(self._folder).as_posix()] | {"sha256": sha256(target)})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a kill cut the last line short
                    file.write(b"\n")
            file.write(json.dumps(entry).encode() + b"\n")
        self._entries[entry["result"]] = entry

    def state(self, target: pathlib.Path, source: pathlib.Path, by: Mapping[str, Any]) -> str:
        """Return why a result must be made: "missing", "unfinished", "damaged" or "outdated"; "" if it is right.

        Outdated: its source has changed; "unknown": its source cannot be read now. Raises InputError where another
        network, other options or another file made it, where nothing is recorded, and where it is not a file.
        """
        if not target.exists():
            return "missing"
        if not target.is_file():
            raise errors.InputError(
                f"{target} is no file, so it is not the result of {source}. Remove it, or choose another -o."
            )
        entry = self._entries.get(target.relative_to(self._folder).as_posix())
        advice = "Give --overwrite to make it again, or choose another -o."
        if entry is None:
            raise errors.InputError(
                f"{target} has no record of what made it ({self._path}): it is of an older version or of another "
                f"program, so it is not kept. {advice}"
            )
        made_by = entry.get("by")
        different = differences(made_by if isinstance(made_by, Mapping) else {}, by)
        if different:
            raise errors.InputError(
                f"{target} was made by another network or with other options ({'; '.join(different)}). {advice}"
            )
        try:
            source_sha256 = sha256(source)
        except errors.SourceError:  # it is read again when its turn comes, and left out if that fails
            return "unknown"
        if entry.get("source_sha256") != source_sha256:
            if entry.get("source") != str(source.resolve()):
                raise errors.InputError(f"{target} is the result of another file, {entry.get('source')}. {advice}")
            return "outdated"
        if "sha256" not in entry:
            return "unfinished"
        return "" if entry["sha256"] == sha256(target) else "damaged"


def again(targets: Sequence[tuple[pathlib.Path, str]]) -> list[str]:
    """Return sentences on results that exist and are made again."""
    why = {
        "damaged": "was changed or damaged after it was made",
        "outdated": "was made of a file that has changed",
        "unfinished": "was not finished, or frames were missing",
    }
    return [f"{target} {why[state]}; it is made again." for target, state in targets if state in why]
