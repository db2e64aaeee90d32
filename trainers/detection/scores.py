"""The detection benchmark (Kupyn et al. 2018, section 6.3): does a detector find on restored images what it finds on
the sharp ones?

Truth is the detector's own output on the sharp image. An object counts as found where a box of its class overlaps its
box by at least a stated intersection over union; boxes are taken from the highest score down, each true box once.
Precision and recall are of all images' boxes together, and F1 is made of these two, as the paper's three columns are.
Its "average" may also mean one value an image, then the mean; but where nothing is found there is no precision.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import pydantic
import torch
from numpy import typing as npt

from blursynth import errors
from blursynth.config import records, toml
from blursynth.media import atomic_file, source_file
from trainers.detection import detectors
from trainers.evaluation import bootstrap, scores
from trainers.protocols import protocol

VERSION = 1
COUNTS = ("true_positives", "false_positives", "false_negatives")
Ratio = Callable[[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]]
"""Of true positives, false positives, false negatives."""

_TITLES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def overlaps(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of (K, 4) with each of (L, 4) boxes: (K, L), 0 where both are empty."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(opposite - corner, 0, None), axis=2)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    found: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def count(found: detectors.Found, truth: detectors.Found, iou: float) -> dict[str, dict[str, int]]:
    """True and false positives and false negatives by class, and under "all"."""
    counts: dict[str, dict[str, int]] = {"all": dict.fromkeys(COUNTS, 0)}
    table = overlaps(found.boxes, truth.boxes)
    taken: set[int] = set()
    for index in np.argsort(-found.scores, kind="stable"):
        of_class = [
            other
            for other in range(len(truth))
            if truth.classes[other] == found.classes[index] and other not in taken and table[index, other] >= iou
        ]
        if of_class:
            taken.add(of_class[int(np.argmax(table[index, of_class]))])
        _add(counts, found.classes[index], "true_positives" if of_class else "false_positives")
    for other in range(len(truth)):
        if other not in taken:
            _add(counts, truth.classes[other], "false_negatives")
    return counts


def _add(counts: dict[str, dict[str, int]], name: str, what: str) -> None:
    for key in ("all", name):
        counts.setdefault(key, dict.fromkeys(COUNTS, 0))[what] += 1


class _OfImage(toml.Model):
    boxes: tuple[Annotated[tuple[float, ...], pydantic.Field(min_length=4, max_length=4)], ...]
    scores: tuple[float, ...]
    classes: tuple[str, ...]

    @pydantic.model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if not len(self.boxes) == len(self.scores) == len(self.classes):
            raise ValueError("boxes, scores and classes differ in number")
        return self


class _File(toml.Model):
    """What `Labels.write` writes."""

    model_config = pydantic.ConfigDict(extra="allow")

    detector: str
    sha256: str
    images: Mapping[str, _OfImage]


class Labels:
    """What the detector finds on sharp images, found once and kept in a file with the detector's hash."""

    def __init__(self, detector: detectors.Detector) -> None:
        self.detector = detector
        self._found: dict[str, detectors.Found] = {}
        self._lock = threading.Lock()

    def of(self, sharp: protocol.Image) -> detectors.Found:
        """The labels of a sharp image, made now where it has none yet."""
        key = _digest(sharp)
        if key not in self._found:
            found = self.detector.find(sharp)
            with self._lock:
                self._found.setdefault(key, found)
        return self._found[key]

    def write(self, path: pathlib.Path, settings: Mapping[str, Any]) -> None:
        """All labels as JSON: boxes in px, scores and classes by the SHA-256 of the sharp image's pixels."""
        images = {
            key: {"boxes": found.boxes.tolist(), "scores": found.scores.tolist(), "classes": list(found.classes)}
            for key, found in sorted(self._found.items())
        }
        about = {"detector": self.detector.name, "sha256": self.detector.sha256, **settings}
        atomic_file.replace(path, (json.dumps({**about, "images": images}, indent=1) + "\n").encode())

    def read(self, path: pathlib.Path) -> None:
        """Take the labels in a file, if there is one; InputError where another detector made them."""
        if not source_file.exists(path):
            return
        source_file.require_file(path, "labels written by trainers.detect")
        try:
            stored = records.check(records.parse(source_file.read(path), path), _File, path)
        except errors.InputError as error:
            raise errors.InputError(
                f"{path} does not hold labels written by trainers.detect; remove it. ({error})"
            ) from None
        if stored.sha256 != self.detector.sha256:
            raise errors.InputError(
                f"The labels in {path} were made by another detector ({stored.detector}, or other settings of it); "
                "use that one, or another --out."
            )
        for key, each in stored.images.items():
            boxes = np.array(each.boxes, np.float64).reshape(-1, 4)
            self._found[key] = detectors.Found(boxes, np.array(each.scores, np.float64), each.classes)


def _digest(image: protocol.Image) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes() + str(image.shape).encode()).hexdigest()


def make_protocol(labels: Labels, iou: float, threshold: float) -> protocol.Protocol:
    """The benchmark as a protocol: an image's scores are its counts, "true_positives" and "true_positives:CLASS"."""
    if not 0 < iou <= 1 or not 0 <= threshold <= 1:
        raise errors.InputError(
            f"The overlap {iou:g} has to be in (0, 1] and the score threshold {threshold:g} in [0, 1]."
        )

    def score(
        restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
    ) -> protocol.Scored:  # fmt: skip
        del names, device
        sharp = protocol.only(truths, restored)
        counts = count(labels.detector.find(restored), labels.of(sharp), iou)
        values = {
            what if name == "all" else f"{what}:{name}": float(number)
            for name, of_class in counts.items()
            for what, number in of_class.items()
        }
        return protocol.Scored(values)

    about = (
        f"{labels.detector.name} (SHA-256 {labels.detector.sha256[:12]}): its output on the sharp image is the truth; "
        f"overlap of at least {iou:g}, score of at least {threshold:g}; boxes of all images together"
    )
    return protocol.Protocol(f"detection-{labels.detector.kind}", VERSION, about, score, COUNTS)


def summary(
    head: dict[str, Any], rows: Sequence[scores.Network], wanted: scores.Wanted, journal: scores.Journal
) -> dict[str, Any]:
    """What `trainers.evaluation.summary` says of scores, with precision, recall and F1, and of each class by itself.

    `head` is that summary, whose scores are counts.
    """
    entries = {row.name: [journal.entries[row.name, item.name] for item in wanted.tests.items] for row in rows}
    classes = sorted(
        {key.partition(":")[2] for row in entries.values() for entry in row for key in entry.values} - {""}
    )
    for row in head["rows"]:
        row["scores"] = _scores(entries[row["name"]], "")
        row["classes"] = {name: _scores(entries[row["name"]], f":{name}") for name in classes}
        row["missing"] = {}
    for each in head["differences"]:
        each["scores"] = _differences(entries[each["row"]], entries[each["against"]])
    head["statistic"] = "Ratios of the counts of all images together"
    return head | {"metrics": {name: {"title": title, "places": 3, "light": ""} for name, title in _TITLES.items()}}


def _scores(entries: Sequence[scores.Entry], suffix: str) -> dict[str, dict[str, float]]:
    counted = [entry for entry in entries if entry.values]
    groups = [entry.group for entry in counted]
    columns = _columns(counted, suffix)
    found = {}
    for name, function in _FUNCTIONS.items():
        interval = bootstrap.statistic(columns, groups, functools.partial(_of_sums, function))
        if not np.isnan(interval.mean):
            found[name] = dataclasses.asdict(interval)
    return found


def _differences(entries: Sequence[scores.Entry], others: Sequence[scores.Entry]) -> dict[str, dict[str, float]]:
    both = [pair for pair in zip(entries, others, strict=True) if pair[0].values and pair[1].values]
    groups = [pair[0].group for pair in both]
    columns = [*_columns([pair[0] for pair in both], ""), *_columns([pair[1] for pair in both], "")]
    found = {}
    for name, function in _FUNCTIONS.items():
        interval = bootstrap.statistic(columns, groups, functools.partial(_difference_of_sums, function))
        if not np.isnan(interval.mean):
            found[name] = dataclasses.asdict(interval)
    return found


def _of_sums(function: Ratio, sums: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return function(*sums[:3])


def _difference_of_sums(function: Ratio, sums: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return function(*sums[:3]) - function(*sums[3:6])


def _columns(entries: Sequence[scores.Entry], suffix: str) -> list[npt.NDArray[np.float64]]:
    return [np.array([entry.values.get(f"{what}{suffix}", 0.0) for entry in entries], np.float64) for what in COUNTS]


def _precision(true: npt.NDArray[Any], false: npt.NDArray[Any], missed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Not a number where nothing was found: then there is nothing to be precise about."""
    del missed
    return _ratio(true, true + false)


def _recall(true: npt.NDArray[Any], false: npt.NDArray[Any], missed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    del false
    return _ratio(true, true + missed)


def _f1(true: npt.NDArray[Any], false: npt.NDArray[Any], missed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
    return _ratio(2 * true, 2 * true + false + missed)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return found


_FUNCTIONS = {"precision": _precision, "recall": _recall, "f1": _f1}
