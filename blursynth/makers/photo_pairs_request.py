"""From the options of a command, or the record of a dataset, to the maker of pairs from photos."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from blursynth import errors
from blursynth.config import options as options_
from blursynth.config import photo_pairs as photo_pairs_config
from blursynth.config import toml
from blursynth.makers import photo_pairs, realism_request, source_selection
from blursynth.sources import photos as folder
from blursynth.sources import scenes, sidecars, stored_photos
from blursynth.sources import source as sources_
from blursynth.storage import provenance
from blursynth.stores import store

Maker = TypeVar("Maker", bound=photo_pairs.PhotoPairsMaker[Any])


def build(
    kind: type[Maker],
    photos: str,
    request: photo_pairs_config.PhotoPairs,
    options: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> Maker:
    """Scan the photos and leave out those that cannot be used; `options` are those of the command.

    Raises InputError where no photo can be used, where full frames differ in size, and, with options["strict"], at the
    first photo that cannot be used.
    """
    found = stored_photos.parse(photos, seed=options["seed"], workers=options.get("workers"))
    if isinstance(found, folder.PhotoFolder):  # a worker elsewhere may have another current folder
        found = dataclasses.replace(found, root=found.root.absolute())
    belonging = kind.belonging(request, {**inputs, "photos": str(photos)})
    everything = found.sources
    if belonging is not None:
        found = sidecars.attached(found, belonging, options.get("workers"))
    used, left_out = source_selection.usable(found, request, strict=bool(options.get("strict")))
    left_out += [] if belonging is None else belonging.unclaimed(everything)
    return kind(
        recipe=request,
        seed=options["seed"],
        photos=found,
        used=tuple(used),
        generations=(len(used),),
        left_out=tuple(left_out),
        origin=str(photos) if isinstance(found, scenes.Scenes) else store.normalise(photos),
        inputs={name: store.normalise(path) for name, path in inputs.items()},
        command=options.get("command", ""),
        shard_length=options.get("shard_length"),
    )


def rebuilt(kind: type[Maker], record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> Maker:
    """The maker of a dataset with this record, whose list of sources is taken as it stands, if there is one.

    Raises InputError where there are no photos at inputs["photos"] any more.
    """
    request = toml.parse(record.recipe_toml, kind.Recipe, "The recorded recipe", kind.Recipe.BEFORE)
    if record.sources:
        listed = [sources_.Source(**source) for source in record.sources]
        found = stored_photos.recorded(inputs["photos"], listed, seed=record.seed)
        used = list(range(len(found.sources)))
    else:  # its list is lost: the photos that are there now may be the same
        found = stored_photos.parse(inputs["photos"], seed=record.seed)
        belonging = kind.belonging(request, inputs)
        found = found if belonging is None else sidecars.attached(found, belonging)
        used, _ = source_selection.usable(found, request, strict=False)
    return kind(
        recipe=request,
        seed=record.seed,
        photos=found,
        used=tuple(used),
        generations=tuple(record.extra.get("generations", (len(used),))),
        left_out=tuple(sources_.Skipped(left.name, left.reason) for left in record.skipped),
        origin=inputs["photos"],
        inputs={name: path for name, path in inputs.items() if name != "photos"},
        command=record.command,
        shard_length=shard_length,
    )


def values(said: Mapping[str, Any], model: type[toml.Model]) -> dict[str, Any]:
    """Values of a recipe that the options of a command say. Raises RecipeError for words that are not understood."""
    found = options_.values(said, model)
    if "splits" in found:
        found["splits"] = photo_pairs_config.shares(found["splits"])
    return found | realism_request.table(found.pop("realism", None))


def refuse(options: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Raise RecipeError for an option among these that has a value but would change nothing.

    where: as it stands after "changes nothing": `without --gyro`.
    """
    for name in names:
        if options.get(name) is None:
            continue
        raise errors.RecipeError(f"--{name.replace('_', '-')} changes nothing {where}; leave it out.")
