"""What a run leaves that writes on while its dataset is being removed: objects without the record that they are of.

They are nobody's data: no command reads them, and the same command makes them again. But digests among them would
pass for finished shards, so they are removed before a dataset is made in their place.
"""

import logging
import re
from collections.abc import Sequence

from blursynth import errors
from blursynth.storage import metadata_digests
from blursynth.storage import schema as schemas
from blursynth.stores import store

_log = logging.getLogger(__name__)


def found(path: str, schema: schemas.Schema) -> list[str]:
    """Stray objects of a dataset with these arrays, if nothing but those is at a path; else none.

    The arrays' metadata count as stray only where no digests are: with both it is a dataset that has lost its record,
    for `verify` to name. Raises DatasetError, naming a file, where there is no record and something that is not ours.
    """
    if store.is_vacant(path) or store.read_bytes(path, schemas.GROUP) is not None:
        return []
    keys = store.names(path)
    if keys is None:
        return []
    ours = re.compile("|".join(_patterns(schema)))
    documents = {metadata_digests.document_key(name) for name in (*schema.names, schemas.DIGEST)}
    finished = any(key.startswith(f"{schemas.DIGEST}/c/") for key in keys)
    foreign = [key for key in keys if not ours.fullmatch(key) and (key not in documents or finished)]
    if foreign and not documents & set(foreign):
        raise errors.DatasetError(
            f"{path} exists and is not a blursynth dataset, so it is left alone: {min(foreign)} is no file of one. "
            "Name another place."
        )
    return [] if foreign else keys


def _patterns(schema: schemas.Schema) -> list[str]:
    """Expressions for the keys of all objects of the arrays, whatever the number of the shard."""
    shards = [f"{re.escape(array.name)}/c/[0-9]+{'/0' * len(array.shape)}" for array in schema.arrays]
    return [*shards, f"{schemas.DIGEST}/c/[0-9]+/0/0", re.escape(schemas.GROWTH)]


def remove(path: str, keys: Sequence[str]) -> None:
    """Remove stray objects, and say so."""
    if keys:
        _log.warning("%s has %d files that a removed run left behind; they are replaced.", path, len(keys))
    for key in sorted(keys, key=lambda key: not key.startswith(schemas.DIGEST)):  # what counts as finished goes first
        store.remove_object(path, key)
