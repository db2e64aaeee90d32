"""What made a result: records that a command compares before it keeps what an earlier one left.

A result is kept where the same network and options made it of the same bytes and it still has the bytes that were
written then. Paths and times decide nothing.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.media import listing

RECORD = "blursynth-results.jsonl"
"""A line of JSON for each result in a folder, the last of a name counts; written as results come."""

_SHOWN = 12  # digits of a digest that a sentence gives


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lines "key: before -> now" for what is not the same."""
    keys = [key for key in now if before.get(key) != now[key]]
    return [f"{key}: {_short(before.get(key))} -> {_short(now[key])}" for key in keys]


def _short(value: Any) -> str:
    is_digest = isinstance(value, str) and len(value) == 64
    return f"{value[:_SHOWN]}..." if is_digest else repr(value)


def sha256(path: pathlib.Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Record:
    """What made the results in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._path = folder / RECORD
        listing.require_file(self._path)
        self._entries: dict[str, dict[str, Any]] = {}
        lines = self._path.read_bytes().split(b"\n") if self._path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
                self._entries[str(entry["result"])] = entry
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut short by a kill, or damaged: its result has no record

    def begin(self, target: pathlib.Path, source: pathlib.Path, source_sha256: str, by: Mapping[str, Any]) -> None:
        """Note a result that is going to be made; one that is never finished is made again."""
        name = target.relative_to(self._folder).as_posix()
        self._write({"result": name, "source": str(source.resolve()), "source_sha256": source_sha256, "by": dict(by)})

    def finish(self, target: pathlib.Path) -> None:
        """Note that a result that was begun has been written, whole."""
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
        """Why a result has to be made: "missing", "unfinished", "damaged" or "outdated" (its source changed);
        "" where it is right.

        Raises InputError where something else made it: another network, other options, another file, or nothing that
        is recorded.
        """
        if not target.exists():
            return "missing"
        entry = self._entries.get(target.relative_to(self._folder).as_posix())
        advice = "Give --overwrite to make it again, or choose another -o."
        if entry is None:
            raise errors.InputError(
                f"{target} has no record of what made it ({self._path}): it is of an older version or of another "
                f"program, so it is not kept. {advice}"
            )
        there = entry.get("by")
        different = differences(there if isinstance(there, Mapping) else {}, by)
        if different:
            raise errors.InputError(
                f"{target} was made by another network or with other options ({'; '.join(different)}). {advice}"
            )
        if entry.get("source_sha256") != sha256(source):
            if entry.get("source") != str(source.resolve()):
                raise errors.InputError(f"{target} is the result of another file, {entry.get('source')}. {advice}")
            return "outdated"
        if "sha256" not in entry:
            return "unfinished"
        return "" if entry["sha256"] == sha256(target) else "damaged"


def again(targets: Sequence[tuple[pathlib.Path, str]]) -> list[str]:
    """Sentences on results that were there and are made again."""
    why = {
        "damaged": "was changed or damaged after it was made",
        "outdated": "was made of a file that has changed",
        "unfinished": "was not finished, or frames were missing",
    }
    return [f"{target} {why[state]}; it is made again." for target, state in targets if state in why]
