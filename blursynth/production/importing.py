"""From a folder of pairs to the maker of a dataset of them: what belongs together, what is left out, and why."""

import collections
import concurrent.futures
import dataclasses
import importlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic

from blursynth import errors, recipe_file, records
from blursynth.exchange import files, layout
from blursynth.production import execute, exported, imported, pairs
from blursynth.sources import source as sources_
from blursynth.storage import place, provenance


def maker(layout_name: str, path: str, options: Mapping[str, Any], command: str = "") -> imported.ImportMaker:
    """Scan the files of a set and check them.

    `options`: what `imported.Import` has, and seed, workers, strict, shard_length.

    Raises InputError where there are no pairs, where they have several sizes without options["size"], where a
    published set is not as published without options["partial"], and, with options["strict"], at the first file that
    cannot be used; RecipeError for values out of range and for all that nothing says: names, splits, light.
    """
    found = files.Files(place.normalise(path))
    wanted = layout.Wanted(options.get("blurred"), options.get("sharp"), options.get("split"))
    module = importlib.import_module(f"blursynth.exchange.{layout_name}")
    listing: layout.Listing = module.find(found, wanted)
    ours = manifest(found)
    transfer = _transfer(path, listing, ours, options.get("transfer"))
    _require_told(path, listing, transfer)
    names = ("blurred", "sharp", "split", "size", "per_pair", "partial")
    given = {name: options[name] for name in names if options.get(name) is not None}
    if transfer == "table":
        given["response"] = _response(path, ours)
    request = recipe_file.from_options(given | {"layout": layout_name, "transfer": transfer}, imported.Import)
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
        _require_as_published(path, listing, ours, usable, measured)
    if ours is not None:  # the numbers in the names are those of the items that were exported
        usable.sort(key=lambda pair: pair.sharp.rpartition("/")[2])
    numbered = {
        name: k for k, name in enumerate(dict.fromkeys(n for pair in usable for n in (pair.sharp, pair.blurred)))
    }
    sources = [measured[name] for name in numbered]
    if request.size is None:
        pairs.check_one_size("images", [source for source in sources if isinstance(source, sources_.Source)])
    return imported.ImportMaker(
        recipe=request,
        seed=options.get("seed", 0),
        files=found,
        sources=tuple(source for source in sources if isinstance(source, sources_.Source)),
        pairs=tuple(
            imported.ImportedPair(numbered[p.blurred], numbered[p.sharp], pairs.SPLITS.index(p.split), p.frames)
            for p in usable
        ),
        left_out=tuple(left_out),
        command=command,
        shard_length=options.get("shard_length"),
    )


class _Manifest(recipe_file.Model):
    """What is used of it."""

    model_config = pydantic.ConfigDict(extra="allow")

    complete: bool
    transfer_function: str
    height: int
    width: int
    pairs: Mapping[str, int]
    dataset: Mapping[str, Any]
    digests_sha256: str | None = None


def manifest(found: files.Files) -> dict[str, Any] | None:
    """What `blursynth export` wrote beside the pairs; None where there is no such file.

    Raises InputError for one that is damaged or not ours, or whose export is not complete: without it nothing would
    compare the light, the number of pairs and the bytes with those that were exported.
    """
    name = f"{found.root}/{layout.MANIFEST}"
    content = found.text(layout.MANIFEST)
    if content is None:
        return None
    advice = "Export the dataset again to another folder; or remove the file to import this one as another program's."
    try:
        document = records.parse(content, name)
    except errors.InputError as error:
        raise errors.InputError(f"{name} is damaged: it is not a JSON document. {advice}") from error
    if not isinstance(document, dict) or "written_by" not in document:
        raise errors.InputError(f"{name} is damaged, or not of an export of ours. {advice}")
    records.check(document, _Manifest, name)
    if not document.get("complete"):
        raise errors.InputError(f"{found.root} is an export that was not finished; run its command again first.")
    return document


def _transfer(path: str, listing: layout.Listing, ours: Mapping[str, Any] | None, asked: str | None) -> str | None:
    """How codes relate to light: what the export says, else the names, else the user; never a guess."""
    known = str(ours["transfer_function"]) if ours is not None else listing.transfer
    if asked is not None and known not in (None, asked):
        raise errors.RecipeError(
            f"--transfer {asked} contradicts {path}, which says {known} by "
            f"{'its ' + layout.MANIFEST if ours is not None else 'its names'}."
        )
    return known or asked


def _response(path: str, ours: Mapping[str, Any] | None) -> list[float]:
    """The light of each code, by the recipe that an export carries. Raises InputError where it is not there."""
    try:
        recipe = tomllib.loads(ours["dataset"]["recipe"]) if ours is not None else {}
    except (KeyError, TypeError, ValueError, RecursionError):
        recipe = {}
    found = recipe.get("response") or recipe.get("realism", {}).get("response")
    if found is None:
        raise errors.InputError(
            f"{layout.MANIFEST} in {path} says that a response table relates codes to light, and has lost the table. "
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
    found: files.Files, listed: Sequence[layout.Pair], transfer: str, workers: int | None
) -> dict[str, sources_.Source | provenance.Skipped]:
    """Hash and size of every image, in threads."""
    names = list(dict.fromkeys(name for pair in listed for name in (pair.sharp, pair.blurred)))
    with concurrent.futures.ThreadPoolExecutor(workers or execute.available_workers()) as threads:
        return dict(zip(names, threads.map(lambda name: files.measure(found, name, transfer), names), strict=True))


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
    listing: layout.Listing,
    ours: Mapping[str, Any] | None,
    usable: Sequence[layout.Pair],
    measured: Mapping[str, sources_.Source | provenance.Skipped],
) -> None:
    """Raise InputError where numbers or sizes are not what was published, or exported."""
    unlike, size = list(listing.unlike), listing.size
    if ours is not None:
        counts = collections.Counter(pair.split for pair in usable)
        unlike = [
            f"{split} has {counts[split]} pairs that can be used, exported were {count}"
            for split, count in ours["pairs"].items()
            if counts[split] != count
        ]
        size = ours["height"], ours["width"]
        unlike += _unlike_exported(path, ours, measured)
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


def _unlike_exported(
    path: str, ours: Mapping[str, Any], measured: Mapping[str, sources_.Source | provenance.Skipped]
) -> Iterator[str]:
    """A sentence where files of an export are not those that were written; older exports have no record of them."""
    root = place.normalise(path)
    written, digest = exported.read(root)
    if digest != ours.get("digests_sha256", digest):
        state = "damaged" if digest else "lost"
        yield f"{exported.DIGESTS}, the SHA-256 of every file, is {state} (the export's command writes it again)"
        return
    now = {source.name: source.sha256 for source in measured.values() if isinstance(source, sources_.Source)}
    for tar in dict.fromkeys(name.partition(f"{files.TAR}/")[0] + files.TAR for name in now if f"{files.TAR}/" in name):
        now[tar] = (place.digest(root, tar)[0] or b"").hex()
    stored = {name: digest for name, digest in now.items() if f"{files.TAR}/" not in name}
    changed = sorted(name for name, digest in stored.items() if name in written and written[name][1] != digest)
    if changed:
        yield f"{len(changed)} files are not those that were exported: {layout.some(changed)}"
    unknown = sorted(stored.keys() - written.keys())
    if unknown and digest is not None:
        yield f"{len(unknown)} files are not in {exported.DIGESTS}: {layout.some(unknown)}"


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> imported.ImportMaker:
    """The maker of a dataset with this record, whose list of sources is taken as it stands, if there is one.

    Raises InputError where the files are gone.
    """
    request = recipe_file.parse(record.recipe_toml, imported.Import, "The recorded recipe")
    if not record.sources:  # its list is lost: the files that are there now may be the same
        options = request.model_dump(exclude={"layout"}) | {"seed": record.seed, "shard_length": shard_length}
        again = maker(request.layout, inputs["images"], options, record.command)
        return dataclasses.replace(again, left_out=record.skipped)
    found = files.Files(place.normalise(inputs["images"]))
    if place.is_vacant(found.root):
        raise errors.InputError(f"There is no file in {inputs['images']}.")
    names = [field.name for field in dataclasses.fields(sources_.Source)]
    return imported.ImportMaker(
        recipe=request,
        seed=record.seed,
        files=found,
        sources=tuple(sources_.Source(**{name: entry[name] for name in names}) for entry in record.sources),
        pairs=tuple(
            imported.ImportedPair(k, entry["sharp"], pairs.SPLITS.index(entry["split"]), entry["frames"])
            for k, entry in enumerate(record.sources)
            if "sharp" in entry
        ),
        left_out=record.skipped,
        command=record.command,
        shard_length=shard_length,
    )
