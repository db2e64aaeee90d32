"""Write the recipe of a dataset that is there, so that `make` makes the same bytes again."""

import os
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

import tomli_w

from blursynth import errors
from blursynth.config import commands, options, photo_pairs, toml
from blursynth.makers import average_frames_request
from blursynth.storage import reader

SOURCES = {
    "trajectories": "",
    "psfs": "trajectories",
    "camera-psfs": "pairs",
    "convolve": "photos",
    "shake": "photos",
    "objects": "photos",
    "average-frames": "clips",
    "import": "images",
}
"""The input that is a command's source, by the maker in a dataset's record; other inputs have an option's name."""


def text(dataset: reader.Dataset) -> str:
    """A recipe of one dataset in TOML: its command, sources, seed, shard length and every option.

    Datasets that it is made from are named, not described. Raises DatasetError for a maker that is not known here.
    """
    record = dataset.attributes
    maker = record["maker"]
    if maker not in SOURCES:
        raise errors.DatasetError(
            f"{dataset.path} was made by {maker or 'something unnamed'}, for which this version has no command."
        )
    command = "psfs" if maker == "camera-psfs" else maker
    model = photo_pairs.CameraPsfs if maker == "camera-psfs" else commands.COMMANDS[command].recipe
    recorded = toml.tables(record["recipe"], "The recorded recipe")
    inputs = dict(record["inputs"])
    source: Any = inputs.pop(SOURCES[maker], None)
    if maker == "average-frames":
        source = source.split(os.pathsep)
    elif maker == "import":
        source = [recorded["layout"], source]
    table = {"command": command, "source": source, "seed": record["seed"], "shard_length": record["shard_length"]}
    table |= {**_said(recorded, model), **inputs, **(_allowed(dataset) if maker == "average-frames" else {})}
    name = re.sub(r"[^\w-]+", "-", pathlib.Path(dataset.path).name.removesuffix(".zarr")).strip("-") or "dataset"
    remarks = "".join(f"# {line}\n" for line in _remarks(dataset))
    return remarks + tomli_w.dumps({name: {key: value for key, value in table.items() if value is not None}})


def _said(recorded: Mapping[str, Any], model: type[toml.Model]) -> dict[str, Any]:
    """A recorded recipe as options by their names. Keys that no option says are left out where they follow."""
    full = toml.build({**getattr(model, "BEFORE", {}), **recorded}, model, "The recorded recipe")
    values = full.model_dump(mode="json", exclude_none=True)
    said = dict(model.in_options(values))
    follows = {
        key: value for key, value in values.items() if key in said or options.about(model.model_fields[key]) is None
    }
    try:
        same = toml.build(_without_keys(follows, model), model) == full
    except errors.RecipeError:
        same = False
    if same:
        said = _without_keys(said, model)
    else:
        said |= {key: values.get(key, False) for key in options.keys(model) if _is_key(model, key)}
    return options.flat(said, model, "The recorded recipe")


def _without_keys(table: Mapping[str, Any], model: type[toml.Model]) -> dict[str, Any]:
    found = {}
    for key, value in table.items():
        said = options.about(model.model_fields.get(key))
        inline = said is not None and said.inline and isinstance(value, Mapping)
        if not _is_key(model, key):
            found[key] = _without_keys(value, options.table_of(model.model_fields[key])) if inline else value
    return found


def _is_key(model: type[toml.Model], key: str) -> bool:
    said = options.about(model.model_fields.get(key))
    return said is not None and said.key


def _allowed(dataset: reader.Dataset) -> dict[str, bool]:
    """What the user allowed of clips, which no recipe records, but the clips and the command tell."""
    record = dataset.attributes
    used = {source["name"] for source in dataset.sources}
    lost = any(left["name"] in used for left in record["skipped"])
    slow = any(round(source.get("rate", 0), 1) < average_frames_request.SLOWEST for source in dataset.sources)
    damaged = "--allow-damaged" in shlex.split(record["command"]) if record["command"] else lost
    return {name: True for name, value in (("allow_fps", slow), ("allow_damaged", damaged)) if value}


def _remarks(dataset: reader.Dataset) -> list[str]:
    """What `make` would do otherwise than the dataset's own history."""
    extra, maker = dataset.attributes["extra"], dataset.attributes["maker"]
    remarks = []
    if "generations" in extra:
        steps = ", ".join(map(str, extra["generations"]))
        remarks.append(
            f"It grew by --append ({steps} sources). Made in one go, sources may be in another order and split."
        )
    if maker == "average-frames" and not extra.get("by_recording"):
        remarks.append("An older version made it. Chapters of one recording now share a split, so splits may differ.")
    return remarks
