"""Small clips for tests, coded here with PyAV."""

import fractions
import pathlib
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]


def moving(count: int, height: int = 48, width: int = 64, speed: int = 3, seed: int = 0) -> Codes:
    """Frames of smooth texture that moves `speed` px to the left each: uint8 (count, height, width, 3)."""
    draws = np.random.default_rng(seed)
    coarse = draws.integers(30, 226, (height // 8 + 2, (width + speed * count) // 8 + 2, 3)).astype(np.float64)
    rows, columns = np.arange(height) / 8, np.arange(width + speed * count) / 8
    tall = np.stack(
        [[np.interp(rows, np.arange(len(coarse)), line) for line in channel.T] for channel in coarse.transpose(2, 0, 1)]
    )
    texture = np.stack(
        [[np.interp(columns, np.arange(coarse.shape[1]), line) for line in channel.T] for channel in tall]
    )
    scene = texture.transpose(1, 2, 0).astype(np.uint8)
    return np.stack([scene[:, speed * k : speed * k + width] for k in range(count)])


def write(
    path: pathlib.Path,
    frames: Sequence[Codes],
    *,
    rate: int = 240,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    tags: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Code RGB frames. times: of presentation, in 1 / rate. tags: set on the codec context, such as colorspace."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "12", "preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        for k, pixels_HWC in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24").reformat(format=pixels)
            frame.pts = times[k] if times is not None else k
            frame.time_base = fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_planes(
    path: pathlib.Path,
    planes: Sequence[tuple[npt.NDArray[Any], ...]],
    *,
    pixels: str,
    rate: int = 240,
    tags: dict[str, Any],
) -> pathlib.Path:
    """Code planes without loss (FFV1), so that what is decoded is known to the bit."""
    height, width = planes[0][0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for k, parts in enumerate(planes):
            frame = av.VideoFrame(width, height, pixels)
            for plane, values in zip(frame.planes, parts, strict=True):
                rows = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
                rows[:, : plane.width] = values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = k, fractions.Fraction(1, rate)
            for name, value in tags.items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
