"""Open streams: pairs that are made when they are read, from a recipe or a synthesizer and a folder of photos."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any, Protocol

from blursynth import errors
from blursynth.loading import stream as streams
from blursynth.makers import dataset_recipe, photo_pairs, registry
from blursynth.media import source_file
from blursynth.production import executors, worker_process
from blursynth.sources import cache as caches

PER_SOURCE = 2**20
"""Different items of each photo or scene, unless the recipe has `per_photo`."""

STREAMABLE = ("convolve", "shake", "objects")
"""The commands whose pairs can be streamed: each item is made from one photo or scene."""

_log = logging.getLogger(__name__)


class Synthesizer(Protocol):
    """A command with its options, as `blursynth.Convolve` and its siblings have them."""

    @property
    def command(self) -> str:
        """Name of the making command."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Options by their names, as `blursynth make` takes them; those that are not given are left out."""


def stream(
    synthesizer: Synthesizer | str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    seed: int | None = None,
    dataset: str | None = None,
    cache: int | str | None = None,
    threads: int | None = None,
    strict: bool = False,
) -> streams.Stream:
    """Open a stream of blurred/sharp pairs: a dataset of which nothing is stored.

    Parameters
    ----------
    synthesizer
        A synthesizer such as `blursynth.Convolve(size=256)`, or a recipe of `blursynth make`: a TOML file, or the name
        of one that comes with the package.
    source
        A folder of photos, one photo, `s3://BUCKET/PREFIX` or `scenes:N`; may be left out where the recipe names it.
    seed
        Item i is a function of (seed, i); 0, or the recipe's, unless given.
    dataset
        Which table of the recipe, where it describes several datasets.
    cache
        The most bytes of decoded photos that are kept (or a text such as "2GB"); a quarter of the free memory by
        default, 0 for none.
    threads
        Threads that make items; by default one for each CPU that this process may use.
    strict
        Refuse photos that cannot be used, which are otherwise left out with a warning.

    Raises
    ------
    RecipeError
        The recipe is wrong, or describes something that cannot be streamed.
    InputError
        No photo can be used, or, with `strict`, one cannot.
    SourceError
        A photo cannot be read.

    Examples
    --------
    >>> import blursynth as bs
    >>> flow = bs.stream("flow.toml", "photos/", cache="50MB")  # [flow]: command = "convolve", size = 64
    >>> len(flow)  # of four photos
    4194304
    """
    command, options, sources = _request(synthesizer, source, dataset)
    if command not in STREAMABLE:
        raise errors.RecipeError(
            f"{command} cannot be streamed; only {', '.join(STREAMABLE)} can. Make a dataset of it with "
            f"`blursynth {command}`, and open that."
        )
    if len(sources) != 1:
        raise errors.RecipeError(f"The stream has {len(sources)} sources; give one folder of photos, or scenes:N.")
    settings = {"per_photo": PER_SOURCE, **options, "strict": strict}
    settings["seed"] = options.get("seed", 0) if seed is None else seed
    limit = cache_bytes(cache)
    if threads is not None and not 1 <= threads <= 4096:
        raise errors.RecipeError(f"{threads} threads cannot make a stream; give 1 to 4096.")
    maker = source_file.patiently(lambda: registry.start(command, sources, settings))
    assert isinstance(maker, photo_pairs.PhotoPairsMaker)
    for left in maker.left_out[:3]:
        _log.warning("%s is left out: %s.", left.name, left.reason)
    if len(maker.left_out) > 3:
        _log.warning("%d photos and files of %s are left out in all.", len(maker.left_out), maker.origin)
    kept = dataclasses.replace(maker, cache=caches.Cache(limit))
    return streams.Stream(kept, threads=threads or executors.available_workers())


def cache_bytes(cache: int | str | None) -> int:
    """Return the bytes that a cache may take: as given, or a quarter of the free memory.

    Raises RecipeError for what is negative, not understood, or more than the machine has.
    """
    if cache is None:
        return worker_process.free_memory_bytes() // 4
    limit = executors.parse_bytes(cache) if isinstance(cache, str) and cache.strip() != "0" else int(cache)
    if limit < 0:
        raise errors.RecipeError(f"A cache of {limit} bytes cannot be; give 0 or more.")
    if limit > worker_process.memory_bytes():
        raise errors.RecipeError(
            f"A cache of {limit:,} bytes does not fit: this machine has {worker_process.memory_bytes():,}. Give less, "
            "or leave it out for a quarter of the free memory."
        )
    return limit


def _request(
    synthesizer: Synthesizer | str | os.PathLike[str], source: str | os.PathLike[str] | None, dataset: str | None
) -> tuple[str, Mapping[str, Any], tuple[str, ...]]:
    """Return command, options and sources."""
    if not isinstance(synthesizer, str | os.PathLike):
        if dataset is not None:
            raise errors.RecipeError(f"dataset={dataset!r} is of a recipe; leave it out with a synthesizer.")
        return synthesizer.command, synthesizer.options, () if source is None else (os.fspath(source),)
    entry = entry_of(os.fspath(synthesizer), None if source is None else os.fspath(source), dataset)
    return entry.command, entry.settings, entry.sources


def entry_of(recipe: str, source: str | None, dataset: str | None) -> dataset_recipe.Entry:
    """Return the table of a recipe that is to be streamed: the one named, or the only one that can be.

    Raises RecipeError where there is none or a choice.
    """
    tables = dataset_recipe.commands_of(recipe)
    if dataset is None:
        able = [name for name, command in tables.items() if command in STREAMABLE]
        if len(able) != 1:
            listed = ", ".join(f"{name} ({command})" for name, command in tables.items())
            which = f"several that can be streamed; name one of {', '.join(able)}" if able else "none that can be"
            raise errors.RecipeError(f"{recipe} describes {which}. It has {listed}; {_CAN}.")
        (dataset,) = able
    elif dataset not in tables:
        raise errors.RecipeError(f"{recipe} has no dataset {dataset!r}; it has {', '.join(tables)}.")
    elif tables[dataset] not in STREAMABLE:
        raise errors.RecipeError(f"[{dataset}] of {recipe} is made by {tables[dataset]}, which cannot stream; {_CAN}.")
    (entry,) = dataset_recipe.load(recipe, [] if source is None else [f"{dataset}={source}"], only=[dataset])
    if any(each.endswith(".zarr") and each.removesuffix(".zarr") in entry.beside for each in entry.sources):
        raise errors.RecipeError(f"[{dataset}] of {recipe} is made from another dataset of the recipe; name photos.")
    return entry


_CAN = f"{', '.join(STREAMABLE)} can be streamed"
