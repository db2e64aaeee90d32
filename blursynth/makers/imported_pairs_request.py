"""From a folder of pairs to the maker of a dataset of them: what belongs together, what is left out, and why."""

import collections
import concurrent.futures
import dataclasses
import importlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.config import import_pairs, toml
from blursynth.config import options as options_
from blursynth.layouts import exported, layout
from blursynth.makers import imported_pairs, pairs
from blursynth.production import executors
from blursynth.sources import image_files
from blursynth.sources import source as sources_
from blursynth.storage import provenance
from blursynth.stores import store


def maker(layout_name: str, path: str, options: Mapping[str, Any], command: str = "") -> imported_pairs.ImportMaker:
    """Scan the files of a set and check them.

    `options`: what `import_pairs.Import` has, and seed, workers, strict, shard_length.

    Raises InputError where there are no pairs, where they have several sizes without options["size"], where a
    published set is not as published without options["partial"], and, with options["strict"], at the first file that
    cannot be used; RecipeError for values out of range and for all that nothing says: names, splits, light.
    """
    if layout_name not in import_pairs.LAYOUTS:
        raise errors.RecipeError(f"The layout {layout_name!r} is not known; give {', '.join(import_pairs.LAYOUTS)}.")
    found = image_files.Files(store.normalise(path))
    wanted = layout.Wanted(options.get("blurred"), options.get("sharp"), options.get("split"))
    module = importlib.import_module(f"blursynth.layouts.{layout_name}")
    listing: layout.Listing = module.find(found, wanted)
    ours = export_of(found)
    transfer = _transfer(path, listing, ours, options.get("transfer"))
    _require_told(path, listing, transfer)
    values = options_.values(options, import_pairs.Import) | {"layout": layout_name, "transfer": transfer}
    values["response"] = _response(path, ours) if transfer == "table" else None
    request = options_.build(values, import_pairs.Import)
    measured = _measured(found, listing.pairs, request.transfer, options.get("workers"))
    usable, left_out = _usable(listing, measured, request.size)
    left_out += [left for left in found.left_out if left not in left_out]
    if options.get("strict") and left_out:
        raise errors.InputError(f"{left_out[0].name}: {left_out[0].reason}. Without --strict it is left out.")
    left_out += listing.elsewhere
    if not usable:
        shown = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:5])
        raise errors.InputError(f"None of the {len(listing.pairs)} pairs in {path} can be used ({shown}).")
    if not request.partial:
        _require_as_published(path, found, listing, ours, usable, measured)
    if ours is not None:  # the numbers in the names are those of the items that were exported
        usable.sort(key=lambda pair: pair.sharp.rpartition("/")[2])
    numbered = {
        name: k for k, name in enumerate(dict.fromkeys(n for pair in usable for n in (pair.sharp, pair.blurred)))
    }
    sources = [measured[name] for name in numbered]
    if request.size is None:
        pairs.check_one_size("images", [source for source in sources if isinstance(source, sources_.Source)])
    return imported_pairs.ImportMaker(
        recipe=request,
        seed=options.get("seed", 0),
        files=found,
        sources=tuple(source for source in sources if isinstance(source, sources_.Source)),
        pairs=tuple(
            imported_pairs.ImportedPair(numbered[p.blurred], numbered[p.sharp], pairs.SPLITS.index(p.split), p.frames)
            for p in usable
        ),
        left_out=tuple(left_out),
        command=command,
        shard_length=options.get("shard_length"),
    )


def export_of(found: image_files.Files) -> exported.Export | None:
    """The export of ours that a folder is, or is a part of; None where there is none.

    Raises InputError for a `blursynth.json` that is damaged or not ours, or whose export is not complete: without it
    nothing would compare the light, the number of pairs and the bytes with those that were exported.
    """
    export = exported.find(found.root, found.names)
    if exported.MANIFEST in found.names and (export is None or export.below):
        raise errors.InputError(
            f"{found.root}/{exported.MANIFEST} is damaged, or not of an export of ours. Export the dataset again to "
            "another folder; or remove the file to import this one as another program's."
        )
    return export


def _transfer(path: str, listing: layout.Listing, ours: exported.Export | None, asked: str | None) -> str | None:
    """How codes relate to light: what the export says, else the names, else the user; never a guess."""
    known = str(ours.manifest["transfer_function"]) if ours is not None else listing.transfer
    if asked is not None and known not in (None, asked):
        raise errors.RecipeError(
            f"--transfer {asked} contradicts {path}, which says {known} by "
            f"{'its ' + exported.MANIFEST if ours is not None else 'its names'}."
        )
    return known or asked


def _response(path: str, ours: exported.Export | None) -> list[float]:
    """The light of each code, by the recipe that an export carries. Raises InputError where it is not there."""
    try:
        recipe = tomllib.loads(ours.manifest["dataset"]["recipe"]) if ours is not None else {}
    except (KeyError, TypeError, ValueError, RecursionError):
        recipe = {}
    found = recipe.get("response") or recipe.get("realism", {}).get("response")
    if found is None:
        raise errors.InputError(
            f"{exported.MANIFEST} in {path} says that a response table relates codes to light, and has lost the table. "
            "Export the dataset again."
        )
    return list(found)


def _require_told(path: str, listing: layout.Listing, transfer: str | None) -> None:
    """Raise RecipeError, once for all, for what neither the files nor the user say."""
    missing = []
    unplaced = [pair.sharp for pair in listing.pairs if not pair.split]
    if unplaced:
        missing.append(
            f"which split {unplaced[0]} belongs to (no folder or tar is named after one): give --split "
            "train, val or test"
        )
    if transfer is None:
        missing.append(
            "how codes relate to light, and a guess would be worth decibels: give --transfer gamma2.2, srgb or linear "
            "(codes were averaged as they are), or unknown where nobody knows"
        )
    if missing:
        listed = f" {missing[0]}." if len(missing) == 1 else "".join(f"\n  {line}" for line in missing)
        raise errors.RecipeError(f"Nothing in {path} says{listed}")


def _measured(
    found: image_files.Files, listed: Sequence[layout.Pair], transfer: str, workers: int | None
) -> dict[str, sources_.Source | provenance.Skipped]:
    """Hash and size of every image, in threads."""
    names = list(dict.fromkeys(name for pair in listed for name in (pair.sharp, pair.blurred)))
    with concurrent.futures.ThreadPoolExecutor(workers or executors.available_workers()) as threads:
        return dict(
            zip(names, threads.map(lambda name: image_files.measure(found, name, transfer), names), strict=True)
        )


def _usable(
    listing: layout.Listing, measured: Mapping[str, sources_.Source | provenance.Skipped], size: int | None
) -> tuple[list[layout.Pair], list[provenance.Skipped]]:
    """Pairs of two images of one size, large enough; and all that is left out with the reason."""
    usable, left_out = [], list(listing.left_out)
    for pair in listing.pairs:
        blurred, sharp = measured[pair.blurred], measured[pair.sharp]
        if isinstance(blurred, provenance.Skipped) or isinstance(sharp, provenance.Skipped):
            left_out += [each for each in (blurred, sharp) if isinstance(each, provenance.Skipped)]
        elif (blurred.height, blurred.width) != (sharp.height, sharp.width):
            sizes = f"is {blurred.width}x{blurred.height} px and its sharp image {sharp.width}x{sharp.height}"
            left_out.append(provenance.Skipped(pair.blurred, sizes))
        elif size is not None and min(sharp.height, sharp.width) < size:
            reason = f"{sharp.width}x{sharp.height} px is smaller than the crop of {size}x{size}"
            left_out.append(provenance.Skipped(pair.blurred, reason))
        else:
            usable.append(pair)
    return usable, list(dict.fromkeys(left_out))


def _require_as_published(
    path: str,
    found: image_files.Files,
    listing: layout.Listing,
    ours: exported.Export | None,
    usable: Sequence[layout.Pair],
    measured: Mapping[str, sources_.Source | provenance.Skipped],
) -> None:
    """Raise InputError where numbers or sizes are not what was published, or exported."""
    unlike, size = list(listing.unlike), listing.size
    if ours is not None:
        counts = collections.Counter(ours.below or pair.split for pair in usable)
        unlike = [*exported.unlike(ours, counts, _digests(found, ours, measured)), *exported.unlike_table(ours)]
        size = ours.manifest["height"], ours.manifest["width"]
    images = [source for source in measured.values() if isinstance(source, sources_.Source)]
    other = [image for image in images if size is not None and (image.height, image.width) != size]
    if other and size is not None:
        named = layout.some([f"{image.name} ({image.width}x{image.height})" for image in other])
        unlike.append(f"images are not {size[1]}x{size[0]} px: {named}")
    if unlike:
        listed = "\n".join(f"  {line}" for line in unlike)
        raise errors.InputError(
            f"{path} is not as it was published:\n{listed}\nGive --partial to import it as it is, or complete it."
        )


def _digests(
    found: image_files.Files,
    export: exported.Export,
    measured: Mapping[str, sources_.Source | provenance.Skipped],
) -> dict[str, str]:
    """SHA-256 of the files of an export that are used, by their names in it; of tars as a whole."""
    digests = {}
    for source in measured.values():
        tar, is_member, _ = source.name.partition(f"{image_files.TAR}/")
        if is_member and f"{tar}{image_files.TAR}" not in digests:
            name = f"{tar}{image_files.TAR}"
            digests[name] = exported.digest(found.root, name)
        elif not is_member and isinstance(source, sources_.Source):
            digests[source.name] = source.sha256
    return {f"{export.below}/{name}" if export.below else name: digest for name, digest in digests.items()}


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> imported_pairs.ImportMaker:
    """The maker of a dataset with this record, whose list of sources is taken as it stands, if there is one.

    Raises InputError where the files are gone.
    """
    request = toml.parse(record.recipe_toml, import_pairs.Import, "The recorded recipe")
    if not record.sources:  # its list is lost: the files that are there now may be the same
        options = request.model_dump(exclude={"layout"}) | {"seed": record.seed, "shard_length": shard_length}
        again = maker(request.layout, inputs["images"], options, record.command)
        return dataclasses.replace(again, left_out=record.skipped)
    found = image_files.Files(store.normalise(inputs["images"]))
    if store.is_vacant(found.root):
        raise errors.InputError(f"There is no file in {inputs['images']}.")
    names = [field.name for field in dataclasses.fields(sources_.Source)]
    return imported_pairs.ImportMaker(
        recipe=request,
        seed=record.seed,
        files=found,
        sources=tuple(sources_.Source(**{name: entry[name] for name in names}) for entry in record.sources),
        pairs=tuple(
            imported_pairs.ImportedPair(k, entry["sharp"], pairs.SPLITS.index(entry["split"]), entry["frames"])
            for k, entry in enumerate(record.sources)
            if "sharp" in entry
        ),
        left_out=record.skipped,
        command=record.command,
        shard_length=shard_length,
    )
