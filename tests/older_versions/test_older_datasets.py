"""Datasets of the version before: made again they have the same bytes, and all that one does with them still works."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import kept
import pytest

import blursynth

INCIDENTAL = {"created", "command", "inputs", "versions", "seal"}
"""Keys of a dataset's record that differ from run to run: when, how it was called, where the inputs lay, libraries, and
the digest of all keys."""
INCIDENTAL_OF_EXPORTS = {"written_by", "dataset", "table_sha256"}
"""The same of an export's `blursynth.json`: the version, where the dataset lay, and a key that came later."""
STOPPED = ("datasets/unfinished.zarr", "datasets/growing.zarr")
Commands = Sequence[Sequence[str]]


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What the version before left, elsewhere than it was made; shared by tests, which change nothing in it."""
    return kept.unpack("datasets.tar.xz", tmp_path_factory.mktemp("older"))


def commands(older: pathlib.Path) -> Commands:
    """What made the datasets; those that were stopped have "stop" before them."""
    found: Commands = kept.about(older)["commands"]
    return found


def datasets(older: pathlib.Path) -> list[str]:
    """Every dataset that is finished."""
    names = sorted(path.relative_to(older).as_posix() for path in older.glob("*/*.zarr"))
    assert len(names) > 50
    return [name for name in names if name not in STOPPED]


def test_every_dataset_is_made_again_to_the_same_bytes(older: pathlib.Path, tmp_path: pathlib.Path) -> None:
    again = kept.unpack("datasets.tar.xz", tmp_path / "again", ("inputs/",))
    for command in commands(older):
        if not any(name in command for name in STOPPED):
            kept.run(again, "blursynth", command)
    assert datasets(again) == datasets(older)
    differing = {name: changed(older / name, again / name) for name in datasets(older)}
    assert {name: lines for name, lines in differing.items() if lines} == {}
    exports = sorted(path.name for path in (older / "exports").iterdir())
    assert exports == ["flat", "gopro", "tars"]
    for name in exports:
        assert changed(older / "exports" / name, again / "exports" / name) == []


def changed(before: pathlib.Path, after: pathlib.Path) -> list[str]:
    """Files, and keys of the records, that are not the same."""
    old, new = kept.files(before), kept.files(after)
    lines = sorted(old.keys() ^ new.keys())
    for name in sorted(old.keys() & new.keys()):
        if name == "zarr.json":
            lines += [f"{name}: {key}" for key in differing_keys(record(old[name]), record(new[name]), INCIDENTAL)]
        elif name == "blursynth.json":
            both = json.loads(old[name]), json.loads(new[name])
            lines += [f"{name}: {key}" for key in differing_keys(*both, INCIDENTAL_OF_EXPORTS)]
        elif old[name] != new[name]:
            lines.append(name)
    return lines


def record(document: bytes) -> dict[str, Any]:
    """A dataset's own attributes."""
    values: dict[str, Any] = json.loads(document)["attributes"]["blursynth"]
    return values


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any], incidental: set[str]) -> list[str]:
    return sorted(key for key in (old.keys() | new.keys()) - incidental if old.get(key) != new.get(key))


def moved(older: pathlib.Path, name: str) -> list[str]:
    """Options that say where the inputs of a dataset lie now."""
    root, words = kept.about(older)["root"], []
    for what, place in record((older / name / "zarr.json").read_bytes())["inputs"].items():
        if root in place:
            words += [f"--{what}", place.replace(root, str(older))]
    return words


@pytest.mark.slow
def test_every_dataset_opens_verifies_and_is_described(older: pathlib.Path) -> None:
    for name in datasets(older):
        found = blursynth.open(older / name)
        assert len(found) > 0, name
        for array in record((older / name / "zarr.json").read_bytes())["arrays"]:
            assert len(found.read(array, range(len(found)))) == len(found)
        kept.run(older, "blursynth", ["verify", name, *moved(older, name)])
        assert found.kind in kept.run(older, "blursynth", ["info", name])
        kept.run(older, "blursynth", ["replay", name, str(found.item_numbers[-1]), *moved(older, name)])


def test_some_items_were_left_out(older: pathlib.Path) -> None:
    found = blursynth.open(older / "datasets/convolve-cut.zarr")
    assert len(found) == 6
    assert found.attributes["items"] == 8
    assert "3.png" in kept.run(older, "blursynth", ["info", "datasets/convolve-cut.zarr"])


def test_every_command_finds_its_dataset_finished(older: pathlib.Path) -> None:
    before = kept.files(older)
    for command in commands(older):
        if command[0] != "stop" and "longer" not in command[-1] and command[-1] not in STOPPED:
            kept.run(older, "blursynth", command)
    after = kept.files(older)
    other = [name for name in before if before[name] != after.get(name)]
    assert [name for name in other if pathlib.PurePosixPath(name).name != "blursynth.json"] == []
    for name in other:
        assert differing_keys(json.loads(before[name]), json.loads(after[name]), INCIDENTAL_OF_EXPORTS) == []
    assert [name for name in after if name not in before] == []


def test_datasets_that_were_stopped_are_finished_by_their_commands(tmp_path: pathlib.Path) -> None:
    older = kept.unpack("datasets.tar.xz", tmp_path, ("about", "inputs/", *STOPPED, "datasets/finished"))
    for command in commands(older):
        if command[0] == "stop":
            name = command[command.index("--out") + 1]
            before = kept.files(older / name)
            kept.run(older, "blursynth", command[1:])
            after = kept.files(older / name)
            remade = [key for key in before if "/c/" in key and before[key] != after.get(key)]
            assert remade == [], name
            kept.run(older, "blursynth", ["verify", name])
    assert changed(older / "datasets/unfinished.zarr", older / "datasets/finished.zarr") == []
    assert len(blursynth.open(older / "datasets/growing.zarr")) == 18


def test_datasets_that_grew_grow_on(tmp_path: pathlib.Path) -> None:
    older = kept.unpack("datasets.tar.xz", tmp_path, ("about", "datasets/trajectories-longer"))
    longer = [command for command in commands(older) if "datasets/trajectories-longer.zarr" in command]
    first, second = (command for command in longer if command[0] == "trajectories")
    assert second[:3] == ["trajectories", "--n", "9"]
    kept.run(older, "blursynth", ["trajectories", "--n", "11", *second[3:]])
    fresh = [*first[:2], "11", *first[3:-1], "fresh.zarr"]
    kept.run(older, "blursynth", fresh)
    ours, theirs = blursynth.open(older / "datasets/trajectories-longer.zarr"), blursynth.open(older / "fresh.zarr")
    assert len(ours) == len(theirs) == 11
    assert (ours.read("position", range(11)) == theirs.read("position", range(11))).all()


def test_a_damaged_shard_is_repaired(tmp_path: pathlib.Path) -> None:
    paths = [f"datasets/{name}.zarr" for name in ("convolve-rsblur", "objects", "frames-clips", "import-tars")]
    older = kept.unpack("datasets.tar.xz", tmp_path, ("about", "inputs/", "exports/", *paths))
    for path in paths:
        before = kept.files(older / path)
        shard = next(key for key in before if key.startswith("sharp/c/"))
        (older / path / shard).write_bytes(os.urandom(len(before[shard])))
        kept.run(older, "blursynth", ["repair", path, *moved(older, path)])
        assert kept.files(older / path) == before
