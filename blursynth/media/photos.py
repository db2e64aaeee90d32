"""Photos in and out of files: any file Pillow decodes safely, as upright 8-bit RGB in encoded light.

What is done with which file, in this order:

- First frame or page of a file that has several (animations, multi-page TIFF, MPO).
- 16-bit values keep their upper byte. 32-bit integers and floats are refused: their white is not known.
- Grey becomes three equal channels, a palette becomes its colours.
- Transparency (alpha, or a transparent colour) is laid over white, as viewers do; under full transparency files hold
  arbitrary values. The transparent colour of a 16-bit grey PNG is ignored.
- An embedded ICC profile that is not sRGB is converted to sRGB (relative colorimetric, black point compensation), also
  from CMYK. CMYK without a profile reflects (1 - ink)(1 - black). A profile that is damaged, or for another kind of
  pixel than the photo's, is ignored, and so is PNG's gamma chunk.
- EXIF (or XMP) orientation is applied, so that rows run from top to bottom. Damaged EXIF counts as upright.

No setting of Pillow is changed. Its limit on pixels (twice Image.MAX_IMAGE_PIXELS, 179 million by default) is kept.
"""

import contextlib
import errno
import io
import logging
import os
import pathlib
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy
import numpy.typing
from PIL import ExifTags, Image, UnidentifiedImageError

from blursynth import errors
from blursynth.media import colour

Pixels = numpy.typing.NDArray[numpy.uint8]

# Tried on a file's content. A fixed list, because Pillow also knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")

# File name endings (lower case) that a folder is searched for.
ENDINGS = frozenset(
    {".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)

# Photos all the same, which would be missed in silence: phones' formats and raw files.
UNSUPPORTED_ENDINGS = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".orf", ".raf", ".rw2"}
)

_ROWS = 256  # converted at a time: beside the decoded photo and the result, only a strip is ever held

# EXIF orientation -> the stored pixels as a view of the upright ones.
_STORED_VIEW: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


def read(path: str | pathlib.Path, data: bytes | None = None) -> Pixels:
    """The photo, uint8 (height, width, 3), RGB, encoded light (sRGB), upright, writable and contiguous.

    Raises InputError where the file is missing or forbidden, not a photo, truncated, damaged (PNG's checksums are
    verified), has too many pixels, or values without a known white. Peak memory: the photo as decoded (at most 4 bytes
    a pixel) and the result. `data`: the file's bytes, where they have been read already; the path only names them then.
    """
    path = pathlib.Path(path)
    return _read(path, 3, lambda image: colour.converter(image, path), data)


def read_apart(path: str | pathlib.Path) -> tuple[Pixels, Pixels | None]:
    """The photo's colours as `read` gives them, but nothing laid over white, and its alpha, uint8 (height, width).

    None where it has no transparency. Raises InputError as `read` does.
    """
    path = pathlib.Path(path)
    pixels = _read(path, 3, lambda image: colour.converter(image, path, over_white=False))
    with opened(path) as image:
        if not image.has_transparency_data:
            return pixels, None
    alpha = _read(path, 1, lambda _: lambda part: part.convert("RGBA").getchannel("A"))
    return pixels, alpha[:, :, 0]


def _read(
    path: pathlib.Path,
    channels: int,
    converter: Callable[[Image.Image], colour.Converter],
    data: bytes | None = None,
) -> Pixels:
    """The file, part for part through the converter that is made for it, upright: uint8 (height, width, channels)."""
    with opened(path, data) as image:
        orientation = _orientation(image)
        with refusing(path):
            image.load()
        if image.format == "PNG":
            verify_checksums(path, data)
        # Pillow turns a TIFF upright by itself when it loads it.
        turned = orientation if image.format != "TIFF" else 1
        upright = numpy.empty((*_upright_size(image, orientation), channels), numpy.uint8)
        stored = _STORED_VIEW[turned](upright)
        convert = converter(image)
        for top in range(0, image.height, _ROWS):
            box = (0, top, image.width, min(top + _ROWS, image.height))
            with refusing(path):
                strip = convert(image.crop(box))
            stored[box[1] : box[3]] = numpy.asarray(strip).reshape(*stored[box[1] : box[3]].shape)
    return upright


def probe(path: str | pathlib.Path, data: bytes | None = None) -> tuple[int, int]:
    """(height, width) in pixels of what `read` would return, from the file's header alone. `data`: as for `read`.

    Raises InputError as `read` does, as far as a header can tell.
    """
    path = pathlib.Path(path)
    with opened(path, data) as image:
        colour.check(image, path)
        return _upright_size(image, _orientation(image))


def orientation(path: str | pathlib.Path, data: bytes) -> int:
    """EXIF's orientation, 1 (upright) to 8, by which `read` turns what is stored. Raises InputError as `probe` does."""
    with opened(pathlib.Path(path), data) as image:
        return _orientation(image)


def upright(stored: numpy.typing.NDArray[Any], turned: int) -> numpy.typing.NDArray[Any]:
    """What lies over the stored pixels of a photo, (H, W, ...), turned as `read` turns a photo of this orientation."""
    if turned == 1:
        return stored
    height, width = stored.shape[:2][::-1] if turned >= 5 else stored.shape[:2]
    made = numpy.empty((height, width, *stored.shape[2:]), stored.dtype)
    _STORED_VIEW[turned](made)[...] = stored
    return made


def write_png(path: str | pathlib.Path, pixels: Pixels) -> None:
    """Write uint8 (H, W, 3) RGB, (H, W) grey, or either with alpha behind, (H, W, 4) and (H, W, 2), as PNG.

    Whole or not at all: a temporary name, then a rename.

    Raises the operating system's error (OSError) where the folder cannot be written.
    """
    path = pathlib.Path(path)
    assert pixels.dtype == numpy.uint8, pixels.dtype
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("xb") as file:
            Image.fromarray(numpy.ascontiguousarray(pixels)).save(file, format="PNG")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """uint8 (H, W, 3) RGB as a JPEG file of this quality, 1 to 100, keeps it (colour at half resolution)."""
    file = io.BytesIO()
    Image.fromarray(numpy.ascontiguousarray(pixels)).save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file, formats=["JPEG"]) as image:
        return numpy.array(image)


@contextlib.contextmanager
def opened(path: pathlib.Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """The file with its header parsed. A file object rather than a path, so that Pillow never maps it into memory."""
    with contextlib.ExitStack() as stack:
        with refusing(path):
            found: IO[bytes] = path.open("rb") if data is None else io.BytesIO(data)
            file = stack.enter_context(found)
        stack.enter_context(_QUIET)
        with refusing(path):
            image = stack.enter_context(Image.open(file, formats=FORMATS))
        yield image


@contextlib.contextmanager
def refusing(path: pathlib.Path) -> Iterator[None]:
    """Whatever Pillow or the file system raises over a file's content becomes one InputError."""
    try:
        yield
    except (MemoryError, errors.BlursynthError):
        raise
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise errors.InputError(
            f"{path} is not a photo of a known format, or its header is damaged; expected one of {known}."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise errors.InputError(
            f"{path} says that it has more than {limit:,} pixels, the limit against files that fill the memory; "
            "scale it down or cut it first."
        ) from None
    except Exception as error:  # Decoders meet arbitrary bytes and raise nearly anything.
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise  # the machine's trouble, not the file's
        if isinstance(error, OSError) and error.errno is not None:
            raise errors.InputError(f"{path} cannot be read: {error.strerror}.") from None
        detail = str(error) or type(error).__name__
        raise errors.InputError(f"{path} is damaged or incomplete and cannot be decoded ({detail}).") from None


def verify_checksums(path: pathlib.Path, data: bytes | None = None) -> None:
    """Pillow decodes PNG pixels without looking at their CRC; one flipped bit would pass. Costs one more read."""
    with opened(path, data) as image, refusing(path):
        image.verify()


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8; 1 where there is none or EXIF cannot be parsed."""
    try:
        # Not image.getexif(): a PNG's own would decode the whole file to look for EXIF behind the pixels.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF is parsed from arbitrary bytes; a photo is worth more than its metadata.
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """(height, width); Pillow gives a TIFF's size upright already."""
    turned = orientation >= 5 and image.format != "TIFF"
    return (image.width, image.height) if turned else (image.height, image.width)


class _Quiet:
    """While any thread is inside, Pillow's warnings are ignored and its log goes to handlers that a program has set up.

    What they report ends as an InputError, or does not matter. The list of filters belongs to the process, so threads
    share one change of it and the last one out restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                _PILLOW_LOG.addHandler(_NO_OUTPUT)
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                assert self._saved is not None
                _PILLOW_LOG.removeHandler(_NO_OUTPUT)
                self._saved.__exit__(None, None, None)
                self._saved = None


_QUIET = _Quiet()
_PILLOW_LOG = logging.getLogger("PIL")
_NO_OUTPUT = logging.NullHandler()  # a logger with no handler at all prints to standard error


def resize(pixels: numpy.typing.NDArray[numpy.uint8], height: int, width: int) -> numpy.typing.NDArray[numpy.uint8]:
    """A photo scaled to another size with an anti-aliased Lanczos filter, in encoded light as is usual.

    pixels: uint8 (H, W, 3), encoded. Returns uint8 (height, width, 3).
    """
    scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return numpy.array(scaled)
