"""Find the maker of a dataset by the name in its record. A kind of dataset is one line here."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.config import commands
from blursynth.makers import average_frames, average_frames_request
from blursynth.production import maker as makers
from blursynth.storage import provenance

MAKERS = {
    "trajectories": "blursynth.makers.trajectories",
    "psfs": "blursynth.makers.psfs",
    "camera-psfs": "blursynth.makers.camera_psfs",
    "convolve": "blursynth.makers.convolve",
    "shake": "blursynth.makers.shake",
    "objects": "blursynth.makers.objects",
    "average-frames": "blursynth.makers.average_frames_request",
    "import": "blursynth.makers.imported_pairs_request",
}
"""The name under `maker` in a dataset's record -> the module whose `from_record(record, shard_length, inputs)` returns
the maker. A module is imported when a dataset of its kind is rebuilt."""


def start(command: str, sources: Sequence[str], options: Mapping[str, Any], line: str = "") -> makers.Maker:
    """Build the maker of a command.

    command: a name in `config.commands`. line: the command line, as it is recorded.
    """
    options = commands.COMMANDS[command].resolved(options)
    name = "camera-psfs" if command == "psfs" and options.get("grid") is not None else command
    module = importlib.import_module(MAKERS[name])
    arguments = (sources,) if name == "average-frames" else sources  # many clips are one argument
    maker: makers.Maker = module.maker(*arguments, options, line)
    return maker


def remark(maker: makers.Maker) -> str:
    """What the user should know of a maker's sources before anything is made; else nothing."""
    return average_frames_request.remark(maker) if isinstance(maker, average_frames.AverageFramesMaker) else ""


def rebuild(
    attributes: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], moved: Mapping[str, str]
) -> makers.Maker:
    """Return the maker of the dataset with these group attributes and this list of sources (empty where it is lost).

    moved: where inputs lie now, by name (photos, clips, trajectories), if not where the record has them.

    Raises
    ------
    DatasetError
        This version has no such maker, or would make another dataset.
    RecipeError
        `moved` names an input that the dataset does not have.

    Raises as well what the maker raises where an input is gone.
    """
    name = attributes["maker"]
    if name not in MAKERS:
        raise errors.DatasetError(
            f"The dataset was made by {name or 'something unnamed'}, which this version does not know; it knows "
            f"{', '.join(MAKERS)}. Use the version that made it."
        )
    record = provenance.recorded(attributes, sources)
    unknown = next((key for key in moved if key not in record.inputs), None)
    if unknown is not None:
        raise errors.RecipeError(
            f"--{unknown} names an input that the dataset does not have; it was made from "
            f"{', '.join(record.inputs) or 'its seed alone'}. Leave the option out."
        )
    module = importlib.import_module(MAKERS[name])
    maker: makers.Maker = module.from_record(record, attributes["shard_length"], {**record.inputs, **moved})
    rebuilt = provenance.attributes(maker.record(), maker.schema) | {"versions": attributes["versions"]}
    differences = provenance.differences(attributes, rebuilt)
    if differences:
        listed = "; ".join(differences)
        raise errors.DatasetError(
            f"The record describes another dataset than the one that is stored (stored -> described): {listed}. Its "
            "metadata was edited, or its inputs have changed; make the dataset again with --overwrite."
        )
    return maker
