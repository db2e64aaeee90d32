"""Detectors: what finds objects in an image. Those we have: OpenCV's reader of QR codes, and YOLO-type ONNX files."""

import dataclasses
import hashlib
import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy import typing as npt

from blursynth import errors
from blursynth.media import opencv, source_file

Image = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, encoded light."""

QRCODE = "qrcode"

_GREY = 114  # what YOLO networks are trained to see beside a picture of another shape
_OVERLAP = 0.45
_MOST_SUPPRESSED = 1000


@dataclasses.dataclass(frozen=True)
class Found:
    """Objects in an image: `boxes` float64 (K, 4) left, top, right, bottom in px; `scores` (K,); `classes`, names."""

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.classes)


class Detector(Protocol):
    """`name` for tables, `kind` for the protocol's name, `sha256` of whatever decides what it finds."""

    name: str
    kind: str
    sha256: str

    def find(self, image: Image) -> Found:
        """Every object that it finds in an image."""
        ...


class QrCodes:
    """OpenCV's reader of QR codes: a code that can be read is an object, with score 1.

    The reader that looks for corner patterns as for ArUco markers: it finds several times more than the older one.
    """

    kind = QRCODE

    def __init__(self) -> None:
        self._cv2 = opencv.load("Detection needs it")
        self.name = f"OpenCV {self._cv2.__version__} QRCodeDetectorAruco"
        self.sha256 = hashlib.sha256(self.name.encode()).hexdigest()
        self._lock = threading.Lock()

    def find(self, image: Image) -> Found:
        with self._lock:
            reader = self._cv2.QRCodeDetectorAruco()
            try:
                _, texts, corners, _ = reader.detectAndDecodeMulti(np.ascontiguousarray(image[..., ::-1]))
            except self._cv2.error:  # it fails on some images in which it finds the outline of something
                texts, corners = (), None
        boxes = [
            [*quad.min(axis=0), *quad.max(axis=0)]
            for text, quad in zip(texts or (), corners if corners is not None else (), strict=False)
            if text
        ]
        return Found(np.array(boxes, np.float64).reshape(-1, 4), np.ones(len(boxes)), (QRCODE,) * len(boxes))


class Yolo:
    """An ONNX file of the YOLO family, run by OpenCV's DNN module (or onnxruntime): heads of v5, v8 and v10 type.

    v5: (1, N, 5 + C), centre x, centre y, width, height, objectness, classes; score = objectness x class. v8:
    (1, 4 + C, N), without objectness. v10, and files exported with suppression inside: (1, N, 6), left, top, right,
    bottom, score, number of the class. Which it is, is told by the longer dimension, N, unless `head` says it; of v10
    and v5 with one class, v10 has at most a thousand boxes, and whole numbers for classes.
    Images are scaled into a square of `size` px with grey beside them; boxes of one class that overlap by more than
    0.45 are reduced to the best. InputError where the file is none or its output is not a detector's.
    """

    kind = "yolo"

    def __init__(
        self,
        path: pathlib.Path,
        *,
        size: int = 640,
        head: str = "auto",
        names: Sequence[str] = (),
        threshold: float = 0.25,
        runtime: str = "opencv",
    ) -> None:
        source_file.require_file(path, "an ONNX file")
        if not source_file.exists(path):
            raise errors.InputError(f"There is no detector {path}; give an ONNX file of the YOLO family, or qrcode.")
        content = source_file.read(path)
        self.name = path.name
        settings = f"{size} {head} {threshold} {' '.join(names)}"
        self.sha256 = hashlib.sha256(content + settings.encode()).hexdigest()
        self._path, self._size, self._head, self._names, self._threshold = path, size, head, names, threshold
        self._cv2 = opencv.load("Detection needs it")
        self._lock = threading.Lock()
        self._run = _onnxruntime(path) if runtime == "onnxruntime" else _opencv(self._cv2, path, size)
        self.find(np.full((size, size, 3), _GREY, np.uint8))  # a file that is no detector says so before anything else

    def find(self, image: Image) -> Found:
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self._size - inner[0]) // 2, (self._size - inner[1]) // 2
        canvas = np.full((self._size, self._size, 3), _GREY, np.uint8)
        canvas[top : top + inner[0], left : left + inner[1]] = self._cv2.resize(image, inner[::-1])
        given = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        with self._lock:
            rows = decode(self._outputs(given), self._head, str(self._path))
        centres, sizes = rows[:, :2], rows[:, 2:4]
        best = rows[:, 4:].argmax(axis=1)
        scores = rows[np.arange(len(rows)), 4 + best]
        corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1) - [left, top, left, top]
        boxes = np.clip(corners / scale, 0, [width, height, width, height])
        kept = suppress(self._cv2, boxes, scores, best, self._threshold)
        names = tuple(self._names[index] if index < len(self._names) else f"class {index}" for index in best[kept])
        return Found(boxes[kept], scores[kept], names)

    def _outputs(self, given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        try:
            found: list[npt.NDArray[Any]] = self._run(given)
            return found
        except Exception as error:  # either runtime raises its own kinds for an input that does not fit
            raise errors.InputError(
                f"{self._path} does not take an image of {self._size}x{self._size} ({_first_line(error)}); give the "
                "size it was made for with --size."
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:120]


_TRIAL = """\
import sys, cv2, numpy
side = int(sys.argv[2])
network = cv2.dnn.readNetFromONNX(sys.argv[1])
network.setInput(numpy.zeros((1, 3, side, side), numpy.float32))
network.forward(network.getUnconnectedOutLayersNames())
"""


def _opencv(cv2: Any, path: pathlib.Path, size: int) -> Any:
    # A damaged network can end the process that OpenCV runs it in: it is tried in another one first.
    tried = subprocess.run([sys.executable, "-c", _TRIAL, str(path), str(size)], capture_output=True, check=False)
    if tried.returncode < 0:
        raise errors.InputError(
            f"{path} is damaged: OpenCV crashes on it (signal {-tried.returncode}). Export the network again, or give "
            "--runtime onnxruntime."
        )
    try:
        network = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise errors.InputError(f"{path} cannot be read as an ONNX network ({_first_line(error)}).") from None

    def run(given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        network.setInput(given)
        return [np.asarray(each) for each in network.forward(network.getUnconnectedOutLayersNames())]

    return run


def _onnxruntime(path: pathlib.Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise errors.MissingPackageError(
            "onnxruntime is not installed; install it, or leave --runtime out to use OpenCV."
        ) from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base of their own
        raise errors.InputError(f"{path} cannot be read as an ONNX network ({_first_line(error)}).") from None
    name = session.get_inputs()[0].name
    return lambda given: session.run(None, {name: given})


def decode(outputs: Sequence[npt.NDArray[Any]], head: str, source: str) -> npt.NDArray[np.float64]:
    """Rows of centre x, centre y, width, height and one score a class: float64 (N, 4 + C); InputError otherwise."""
    shapes = ", ".join("x".join(str(side) for side in each.shape) for each in outputs)
    refusal = errors.InputError(
        f"{source} is not a detector of the YOLO family: its output is {shapes}, and (1, N, 5 + classes), "
        "(1, 4 + classes, N) or (1, N, 6) was expected."
    )
    if len(outputs) != 1 or outputs[0].ndim != 3 or outputs[0].shape[0] != 1:
        raise refusal
    values: npt.NDArray[np.float64] = outputs[0][0].astype(np.float64)
    kind = _head(values) if head == "auto" else head
    if kind == "v8":
        rows = values.T
    elif kind == "v10" and values.shape[1] == 6:
        rows = _with_a_column_for_each_class(values)
    elif kind == "v5" and values.shape[1] >= 6:
        rows = np.concatenate([values[:, :4], values[:, 4:5] * values[:, 5:]], axis=1)
    else:
        raise refusal
    if rows.shape[1] < 5:
        raise refusal
    return rows


def _head(values: npt.NDArray[np.float64]) -> str:
    rows, columns = values.shape
    if rows < columns:
        return "v8"
    suppressed = columns == 6 and rows <= _MOST_SUPPRESSED and np.array_equal(values[:, 5], np.rint(values[:, 5]))
    return "v10" if suppressed else "v5"


def _with_a_column_for_each_class(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of left, top, right, bottom, score, class: the rows that `decode` gives."""
    corners, opposite = values[:, :2], values[:, 2:4]
    classes = values[:, 5].astype(np.int64)
    scores = np.zeros((len(values), int(classes.max(initial=0)) + 1))
    scores[np.arange(len(values)), classes] = values[:, 4]
    return np.concatenate([(corners + opposite) / 2, opposite - corners, scores], axis=1)


def suppress(
    cv2: Any,
    boxes: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    classes: npt.NDArray[np.int64],
    threshold: float,
) -> npt.NDArray[np.int64]:
    """Which boxes stay, best first: scores from the threshold on, and of boxes of one class that overlap the best."""
    candidates = np.flatnonzero(scores >= threshold)
    if not len(candidates):
        return candidates
    chosen = boxes[candidates]
    corners = np.concatenate([chosen[:, :2], chosen[:, 2:] - chosen[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corners.tolist(), scores[candidates].tolist(), classes[candidates].tolist(), threshold, _OVERLAP
    )
    found = candidates[np.asarray(kept, np.int64).reshape(-1)]
    ordered: npt.NDArray[np.int64] = found[np.argsort(-scores[found], kind="stable")]
    return ordered


def make(name: str, *, size: int, head: str, names: Sequence[str], threshold: float, runtime: str) -> Detector:
    """The detector called `name`: "qrcode", or the path of an ONNX file."""
    if name == QRCODE:
        return QrCodes()
    return Yolo(pathlib.Path(name), size=size, head=head, names=names, threshold=threshold, runtime=runtime)
