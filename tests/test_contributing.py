"""The picture of the rooms in CONTRIBUTING.md is that of the import contracts."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURE = re.search(r"```text\n(blursynth .*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def drawn(package: str) -> list[set[str]]:
    """The floors of a package in the picture, from the top."""
    assert PICTURE is not None
    head, *lines = PICTURE[1].splitlines()
    split = head.index("trainers")
    column = slice(0, split) if package == "blursynth" else slice(split, None)
    floors = [line[column].strip() for line in lines]
    return [set(floor.split(", ")) for floor in floors if floor]


@pytest.mark.parametrize("package", ["blursynth", "trainers"])
def test_the_picture_is_that_of_the_contracts(package: str) -> None:
    (layers,) = (each["layers"] for each in CONTRACTS if each["name"] == f"imports point down in {package}")
    floors = [{room.removeprefix(f"{package}.") for room in layer.split(" | ")} for layer in layers]
    assert drawn(package) == [floor for floor in floors if floor != {"__main__"}]


@pytest.mark.parametrize("package", ["blursynth", "trainers"])
def test_every_room_is_on_a_floor(package: str) -> None:
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    rooms |= {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__", "__main__"}
    assert rooms == set().union(*drawn(package))
