"""Digests of a dataset's metadata, taken when it is finished, so that one damaged byte in it is found.

Every document is written in one way (`place.json_bytes`), so that it can be compared as bytes. The arrays' documents
have their SHA-256 in the group's attributes; those attributes have one of themselves, taken without it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from blursynth.storage import schema as schemas
from blursynth.stores import store

DOCUMENTS = "documents"
SEAL = "seal"


def sealed(path: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The group attributes of a finished dataset, with the digests of all its metadata as it is stored."""
    documents = {}
    for name in [*attributes["arrays"], schemas.DIGEST]:
        key = document_key(name)
        documents[key] = hashlib.sha256(store.json_bytes(store.read_json(path, key))).hexdigest()
    values = {**attributes, DOCUMENTS: documents}
    return {**values, SEAL: _digest(values)}


def is_whole(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes are those that were sealed."""
    try:
        return SEAL in attributes and attributes[SEAL] == _digest(attributes)
    except (ValueError, RecursionError):  # nothing that could have been written
        return False


def document_key(name: str) -> str:
    """The object that holds an array's metadata, relative to the dataset."""
    return f"{name}/zarr.json"


def _digest(attributes: Mapping[str, Any]) -> str:
    values = {key: value for key, value in attributes.items() if key != SEAL}
    return hashlib.sha256(store.json_bytes(values)).hexdigest()
