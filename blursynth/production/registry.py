"""From a dataset's record back to the maker that made it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.production import camera_psfs, convolve, footage, importing, objects, psfs, shake, trajectories
from blursynth.production import maker as makers
from blursynth.storage import provenance

FromRecord = Callable[[provenance.Record, int, Mapping[str, str]], makers.Maker]

# The name under `maker` in a dataset's record -> what builds that maker from (record, shard length, inputs).
MAKERS: dict[str, FromRecord] = {
    "trajectories": trajectories.from_record,
    "psfs": psfs.from_record,
    "camera-psfs": camera_psfs.from_record,
    "convolve": convolve.from_record,
    "shake": shake.from_record,
    "objects": objects.from_record,
    "average-frames": footage.from_record,
    "import": importing.from_record,
}


def rebuild(
    attributes: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], moved: Mapping[str, str]
) -> makers.Maker:
    """The maker of the dataset with these group attributes and this list of sources (empty where it is lost).

    `moved`: where inputs lie now, by name (photos, clips, trajectories), if not where the record has them. Raises
    DatasetError where this version has no such maker or would make another dataset, RecipeError where `moved` names an
    input that it has not, and whatever the maker raises where an input is gone.
    """
    name = attributes["maker"]
    if name not in MAKERS:
        raise errors.DatasetError(
            f"The dataset was made by {name or 'something unnamed'}, which this version does not know how to do again; "
            f"it knows {', '.join(MAKERS)}."
        )
    record = provenance.recorded(attributes, sources)
    strange = next((key for key in moved if key not in record.inputs), None)
    if strange is not None:
        raise errors.RecipeError(
            f"--{strange} says where that input lies now, but the dataset was made without it; it was made from "
            f"{', '.join(record.inputs) or 'nothing but its seed'}."
        )
    maker = MAKERS[name](record, attributes["shard_length"], {**record.inputs, **moved})
    wanted = provenance.attributes(maker.record(), maker.schema) | {"versions": attributes["versions"]}
    differences = provenance.differences(attributes, wanted)
    if differences:
        listed = "; ".join(differences)
        raise errors.DatasetError(
            f"The record does not give the dataset that is there, but another (there -> given): {listed}."
        )
    return maker
