"""A picture of what a detector finds: input, each network's result and the sharp image, with boxes drawn."""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from blursynth.media import photos
from trainers.detection import detectors
from trainers.detection import scores as detection
from trainers.evaluation import scores as evaluation
from trainers.inference import contact_sheet
from trainers.protocols import protocol

IMAGES = 4
_COLOUR = (255, 40, 40)


def write(
    path: pathlib.Path, rows: Sequence[evaluation.Network], wanted: evaluation.Wanted, labels: detection.Labels
) -> None:
    """The images with the most objects, as a PNG."""
    counted = [
        (len(labels.of(wanted.protocol.prepared(next(item.truths())))), index)
        for index, item in enumerate(wanted.tests.items)
    ]
    chosen = [wanted.tests.items[index] for _, index in sorted(counted, key=lambda pair: (-pair[0], pair[1]))[:IMAGES]]
    networks = [(row.name, evaluation.load(row, wanted)) for row in rows]
    pictures, captions = [], []
    for item in chosen:
        sharp = wanted.protocol.prepared(next(item.truths()))
        images = [evaluation.restore(network, item, wanted) for _, network in networks]
        shown = [each.given if each.image is None else each.image for each in images]
        found = [labels.detector.find(image) for image in shown]
        pictures.append([*(drawn(*pair) for pair in zip(shown, found, strict=True)), drawn(sharp, labels.of(sharp))])
        names = [name for name, _ in networks]
        captions.append(
            [
                *(f"{name}: {len(each)} found" for name, each in zip(names, found, strict=True)),
                f"sharp: {len(labels.of(sharp))}",
            ]
        )
    photos.write_png(path, contact_sheet.sheet(pictures, captions))


def drawn(image: protocol.Image, found: detectors.Found) -> protocol.Image:
    """The image with a frame around every object."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    for box in found.boxes:
        pen.rectangle([float(edge) for edge in box], outline=_COLOUR, width=2)
    return np.array(picture)
