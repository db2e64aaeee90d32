"""`python -m trainers.detect CHECKPOINT... --data DATASET --detector NAME`: is more found on restored images?"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import tqdm

from blursynth import errors
from blursynth.media import source_file
from trainers import command_line
from trainers.detection import detectors, qr_codes, sheet
from trainers.detection import scores as detection
from trainers.evaluation import options, summary, tables
from trainers.evaluation import scores as evaluation

EXAMPLES = """\
examples:
  python -m trainers.detect --place-codes photos/ --out codes/
  blursynth convolve codes/ --size 256 --length 5:20 --out codes.zarr
  python -m trainers.detect runs/first --data codes.zarr --split all --detector qrcode
  python -m trainers.detect runs/a runs/b --data street.zarr --detector yolov8n.onnx --names coco.txt --iou 0.5

Truth is what the detector finds on the sharp images. The same command again goes on where it stopped.
"""

LABELS = "labels.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, detect on sharp, blurred and restored images, write tables and labels, print one table."""
    asked = _parser().parse_args(arguments)
    if asked.place_codes is not None:
        return _place_codes(asked)
    if not asked.data:
        raise errors.InputError("Give --data, a dataset of pairs; or --place-codes PHOTOS to make scenes with codes.")
    wanted, labels = _wanted(asked)
    folder = options.folder(asked, wanted.protocol)
    rows = evaluation.networks(asked.checkpoints, wanted)
    journal = evaluation.Journal(folder, rows, wanted, overwrite=asked.overwrite)
    if asked.labels is None and not asked.overwrite:
        labels.read(folder / LABELS)
    settings = {"iou": asked.iou, "threshold": asked.threshold}
    try:
        with tqdm.tqdm(total=len(rows) * len(wanted.tests.items), unit="image", disable=None) as bar:
            evaluation.run(rows, wanted, journal, bar)
    finally:
        journal.close()
        labels.write(folder / LABELS, settings)
    found = detection.summary(summary.summary(rows, wanted, journal), rows, wanted, journal)
    found["truth"] = _truth(wanted, labels) | settings
    entries = [journal.entries[row.name, item.name] for row in rows for item in wanted.tests.items]
    tables.write(folder, found, entries, detection.COUNTS)
    sheet.write(folder / "sheet.png", rows, wanted, labels)
    print(tables.text(found))
    print(f"Tables, counts of each image, labels and a sheet are in {folder}.")
    return 1 if any(row["non_finite"]["images"] for row in found["rows"]) else 0


def _truth(wanted: evaluation.Wanted, labels: detection.Labels) -> dict[str, Any]:
    """How much there is to find; InputError where nothing is."""
    objects = sum(len(labels.of(wanted.protocol.prepared(next(item.truths())))) for item in wanted.tests.items)
    if not objects:
        raise errors.InputError(
            f"{labels.detector.name} finds nothing on the sharp images of {wanted.tests.name}, so there is nothing to "
            "score; use images of what it was made for, or a lower --threshold."
        )
    return {"objects": objects, "detector": labels.detector.name, "sha256": labels.detector.sha256}


def _place_codes(asked: argparse.Namespace) -> int:
    if asked.out is None:
        raise errors.InputError("--place-codes writes photos with codes in them: say where with --out FOLDER.")
    count, left_out = qr_codes.place_all(asked.place_codes, asked.out, asked.seed, overwrite=asked.overwrite)
    print(f"Placed codes into {count} images, in {asked.out}.")
    for sentence in left_out:
        print(f"Left out: {sentence}", file=sys.stderr)
    return 2 if left_out else 0


def _wanted(asked: argparse.Namespace) -> tuple[evaluation.Wanted, detection.Labels]:
    if asked.names:
        source_file.require_file(asked.names, "a text file of names")
    text = source_file.read(asked.names) if asked.names else b""
    with errors.boundary(asked.names, "names of classes, a line each in UTF-8"):
        names = text.decode().split("\n")
    detector = detectors.make(
        asked.detector,
        size=asked.size,
        head=asked.head,
        names=[name.strip() for name in names if name.strip()],
        threshold=asked.threshold,
        runtime=asked.runtime,
    )
    labels = detection.Labels(detector)
    if asked.labels is not None:
        if not source_file.exists(asked.labels):
            raise errors.InputError(f"There are no labels {asked.labels}; give a labels.json of an earlier run.")
        labels.read(asked.labels)
    protocol = detection.make_protocol(labels, asked.iou, asked.threshold)
    tests = options.test_images(asked)
    if tests.many or not tests.truth:
        raise errors.InputError(f"Detection needs one sharp image for each blurred one, which {tests.name} has not.")
    # The detector's hash, the settings and labels that were given are part of what a journal must agree in.
    given = source_file.digest(asked.labels)[0] if asked.labels is not None else ""
    metrics = (*detection.COUNTS, f"{detector.sha256} {asked.iou} {asked.threshold} {given}")
    return options.wanted(asked, protocol, metrics, tests), labels


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.detect",
        description="Precision, recall and F1 of a detector on blurred and restored images, against sharp ones.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add(parser)
    parser.add_argument(
        "--detector", default=detectors.QRCODE, metavar="NAME", help="qrcode (default), or an ONNX file"
    )
    parser.add_argument("--iou", type=float, default=0.5, help="overlap from which a box is found (default: 0.5)")
    parser.add_argument("--threshold", type=float, default=0.25, help="lowest score of a box (default: 0.25)")
    parser.add_argument(
        "--size", type=command_line.positive, default=640, help="side an ONNX file takes (default: 640)"
    )
    parser.add_argument("--head", choices=("auto", "v5", "v8", "v10"), default="auto", help="of an ONNX file")
    parser.add_argument("--names", type=pathlib.Path, metavar="FILE", help="names of its classes, a line each")
    parser.add_argument("--runtime", choices=("opencv", "onnxruntime"), default="opencv", help="what runs it")
    parser.add_argument("--labels", type=pathlib.Path, metavar="FILE", help="labels of an earlier run, checked by eye")
    parser.add_argument(
        "--place-codes",
        type=pathlib.Path,
        metavar="PHOTOS",
        help="put QR codes into photos, or a dataset's sharp images, and stop",
    )
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
