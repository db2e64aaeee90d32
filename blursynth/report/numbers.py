"""What a dataset's columns and images hold, as distributions."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from blursynth.kernels import response
from blursynth.report import distribution, preview
from blursynth.storage import reader

# Columns that say which part of what an item is, not how it is blurred.
BOOKKEEPING = frozenset(
    {"valid", "split", "source", "reason", "trajectory", "pair", "crop_y", "crop_x", "point_y", "point_x"}
    | {"blurred_source", "centre_y", "centre_x", "first_frame", "target_frame", "time_s"}
)
_BATCH_BYTES = 8 * 2**20  # of images in memory at once
_LARGEST = 60.0  # dB; images that are equal have no finite ratio


def columns(dataset: reader.Dataset) -> Iterator[distribution.Distribution]:
    """Every column that says how items are blurred, of all items, and the length of the path that was exposed.

    One column is in memory at a time.
    """
    if {"length", "exposure"} <= dataset.columns.keys():
        yield _travelled(dataset)
    for name in dataset.columns:
        if name not in BOOKKEEPING:
            stated = dataset.attributes_of(name)
            values = _forgetful(dataset).columns[name]
            yield distribution.of(name, values, name, stated.get("units", "1"), stated.get("long_name", ""))


def _travelled(dataset: reader.Dataset) -> distribution.Distribution:
    found = _forgetful(dataset).columns
    return distribution.of(
        "travelled",
        found["length"] * found["exposure"],
        "path length",
        "px",
        "arc length of the path during the exposure: length times exposure",
    )


def _forgetful(dataset: reader.Dataset) -> reader.Dataset:
    """The same dataset, whose columns are let go with it: those of ten million items are 40 to 80 MB each."""
    return reader.Dataset(dataset.path, dataset.attributes)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How blurred and sharp images differ, in `items` of the dataset's items.

    psnr: dB, of stored values, peak 255, all channels. light: mean of the blurred image against that of the sharp one,
    in per cent of the latter; of light where the transfer function is known, else of stored values.
    """

    psnr: distribution.Distribution
    light: distribution.Distribution
    items: int


def difference(dataset: reader.Dataset, most: int) -> Difference | None:
    """Blurred against sharp, for at most `most` pairs spread evenly over the dataset; None for other kinds."""
    if not {"blurred", "sharp"} <= set(dataset.names):
        return None
    items = preview.spread(dataset.items, most)
    length = max(1, _BATCH_BYTES // int(np.prod(dataset.shape_of("sharp"))))
    known = dataset.transfer_function in response.TRANSFER_FUNCTIONS
    transfer = dataset.transfer_function if known else "linear"
    light_of = response.decode_table(transfer).astype(np.float64)
    ratios, changes = [], []
    for start in range(0, len(items), length):
        part = items[start : start + length]
        for blurred, sharp in zip(dataset.read("blurred", part), dataset.read("sharp", part), strict=True):
            error = float(np.square(blurred.astype(np.int32) - sharp).mean())
            ratios.append(min(_LARGEST, 10 * float(np.log10(255**2 / error))) if error else _LARGEST)
            after, before = (float(np.bincount(codes.ravel(), minlength=256) @ light_of) for codes in (blurred, sharp))
            changes.append(100 * (after / before - 1) if before else np.nan)
    psnr = distribution.of(
        "psnr", np.array(ratios), "blurred against sharp", "dB", f"PSNR of stored values, peak 255, cut at {_LARGEST:g}"
    )
    meaning = f"of the mean of all pixels, blurred against sharp, {f'as light ({transfer})' if known else 'as stored'}"
    light = distribution.of("light", np.array(changes), "change of light", "%", meaning)
    return Difference(psnr, light, len(items))
