"""Photos in and out of files: any file Pillow decodes safely, as upright 8-bit RGB in encoded light.

What is done with which file, in this order:

- First frame or page of a file that has several (animations, multi-page TIFF, MPO).
- 16-bit values keep their upper byte; where they are converted to sRGB, all their bits count. 32-bit integers and
  floats are refused: their white is not known.
- Grey becomes three equal channels, a palette becomes its colours.
- Transparency (alpha, or a transparent colour) is laid over white, as viewers do; under full transparency files hold
  arbitrary values.
- Light that a file declares and that is not sRGB (ICC profile, PNG's chunks, EXIF, a header) is converted to sRGB, also
  from CMYK; one that cannot be used is refused. CMYK without a profile reflects (1 - ink)(1 - black).
- EXIF (or XMP) orientation is applied, so that rows run from top to bottom. Damaged EXIF counts as upright.

`docs/declarations/photos.md` lists every declaration of every format, and what becomes of it.

No setting of Pillow is changed. Its limit on pixels (twice Image.MAX_IMAGE_PIXELS, 179 million by default) is kept.
"""

import contextlib
import functools
import io
import logging
import os
import pathlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import numpy.typing
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from blursynth import errors
from blursynth.media import atomic_file, colour, completeness, deep, headers, source_file

Pixels = numpy.typing.NDArray[numpy.uint8]

# Tried on a file's content. A fixed list, because Pillow also knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")

# File name endings (lower case) that a folder is searched for.
ENDINGS = frozenset(
    {".apng", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx"}
    | {".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# Photos all the same, which would be missed in silence: phones' formats, raw files and those of editors and renderers.
UNSUPPORTED_ENDINGS = frozenset(
    {".3fr", ".arw", ".avif", ".cin", ".cr2", ".cr3", ".dcr", ".dds", ".dng", ".dpx", ".erf", ".exr", ".hdr", ".heic"}
    | {".heif", ".hif", ".iiq", ".jxl", ".jxr", ".kdc", ".mef", ".mrw", ".nef", ".nrw", ".orf", ".pam", ".pcx", ".pef"}
    | {".pfm", ".psb", ".psd", ".qoi", ".raf", ".rw2", ".rwl", ".sgi", ".sr2", ".srf", ".srw", ".tga", ".x3f", ".xcf"}
)

_NO_MEMORY = ImageFile.ERRORS[-9]
SRGB_CHUNK = (b"sRGB", b"\0")
"""What a PNG says that is sRGB: a chunk's name and content."""

_ROWS = 256  # converted at a time: beside the decoded photo and the result, only a strip is ever held

# EXIF orientation -> the stored pixels as a view of the upright ones.
_STORED_VIEW: dict[int, Callable[[Any], Any]] = {
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

    Raises InputError where the file is not a photo, truncated, damaged (PNG's checksums are verified), has too many
    pixels, values without a known white, or declares what `docs/declarations/photos.md` lists as refused; SourceError
    where it cannot be read. Peak memory: the file, the photo as decoded (at most 4 bytes a pixel, twice where 16 bits
    are converted) and the result. `data`: the file's bytes, where they have been read already; the path only names
    them then.
    """
    path = pathlib.Path(path)
    content = source_file.read(path) if data is None else data
    lower = functools.partial(_lower_bytes, path, content)
    pixels = _read(path, content, (3, numpy.uint8), lambda image: colour.converter(image, path, lower))
    assert pixels is not None
    return pixels


def read_apart(path: str | pathlib.Path, data: bytes | None = None) -> tuple[Pixels, Pixels | None]:
    """The photo's colours as `read` gives them, but nothing laid over white, and its alpha, uint8 (height, width).

    None where it has no transparency. Raises as `read` does.
    """
    path = pathlib.Path(path)
    data = source_file.read(path) if data is None else data
    lower = functools.partial(_lower_bytes, path, data)
    pixels = _read(path, data, (3, numpy.uint8), lambda image: colour.converter(image, path, lower, over_white=False))
    assert pixels is not None
    with opened(path, data) as image:
        if not image.has_transparency_data:
            return pixels, None
    alpha = _read(
        path, data, (1, numpy.uint8), lambda image: lambda box: image.crop(box).convert("RGBA").getchannel("A")
    )
    assert alpha is not None
    return pixels, alpha[:, :, 0]


def read_deep(path: str | pathlib.Path, data: bytes | None = None) -> numpy.typing.NDArray[numpy.uint16] | None:
    """The photo with all 16 bits of its samples, uint16 (height, width, 4), RGB in encoded light (sRGB) and alpha.

    Upright, nothing laid over white. None where it has fewer bits, or they cannot be had (`colour.deep_converter`).
    Raises InputError as `read` does.
    """
    path = pathlib.Path(path)
    data = source_file.read(path) if data is None else data
    lower = functools.partial(_lower_bytes, path, data)
    return _read(path, data, (4, numpy.uint16), lambda image: colour.deep_converter(image, path, lower))


def require_all_rows(image: Image.Image, path: pathlib.Path, data: bytes) -> None:
    """Raise InputError where the data of a loaded PNG or JPEG end before its last row.

    Costs time where that row is black, or the last block of one colour.
    """
    with refusing(path):
        if image.format == "PNG":
            lacks = completeness.may_be_cut(image) and not completeness.has_all_rows(data)
        else:
            lacks = completeness.jpeg_may_be_cut(image) and completeness.jpeg_ends_early(data)
        if lacks:
            raise errors.InputError(
                f"{path} has fewer rows of pixels than its header says: it is damaged or cut short."
            )


def _lower_bytes(path: pathlib.Path, data: bytes) -> Image.Image:
    with opened(path, data) as image, refusing(path):
        deep.decode_lower(image)
        image.load()
        return image


def _read(
    path: pathlib.Path,
    data: bytes,
    result: tuple[int, type],
    converter: Callable[[Image.Image], colour.Converter | None],
) -> numpy.typing.NDArray[Any] | None:
    """The file, part for part through the converter that is made for it, upright; None where there is none.

    result: (channels, dtype) of the (height, width, channels) that the converter's parts make.
    """
    channels, dtype = result
    with opened(path, data) as image:
        turned = _left_to_turn(image, _orientation(image))
        with refusing(path):
            colour.check(image, path)
            deep.note(image)
            image.load()
        if image.format == "PNG":
            verify_checksums(path, data)
        if image.format in ("PNG", "JPEG", "MPO"):
            require_all_rows(image, path, data)
        with refusing(path):
            convert = converter(image)
        if convert is None:
            return None
        upright: numpy.typing.NDArray[Any] = numpy.empty((*_upright_size(image, turned), channels), dtype)
        stored = _STORED_VIEW[turned](upright)
        for top in range(0, image.height, _ROWS):
            box = (0, top, image.width, min(top + _ROWS, image.height))
            with refusing(path):
                strip = convert(box)
            stored[box[1] : box[3]] = numpy.asarray(strip).reshape(*stored[box[1] : box[3]].shape)
    return upright


def probe(path: str | pathlib.Path, data: bytes | None = None) -> tuple[int, int]:
    """(height, width) in pixels of what `read` would return, from the file's header alone. `data`: as for `read`.

    Raises as `read` does, as far as a header can tell.
    """
    path = pathlib.Path(path)
    with opened(path, source_file.read(path) if data is None else data) as image, refusing(path):
        colour.check(image, path)
        return _upright_size(image, _left_to_turn(image, _orientation(image)))


def is_converted(path: str | pathlib.Path, data: bytes | None = None) -> bool:
    """Whether the photo's values are not sRGB as stored, so that `read` converts them. Raises InputError as `probe`."""
    path = pathlib.Path(path)
    with opened(path, source_file.read(path) if data is None else data) as image, refusing(path):
        colour.check(image, path)
        return colour.is_converted(image, path)


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
    """Write uint8 (H, W, 3) RGB, (H, W) grey, or either with alpha behind, (H, W, 4) and (H, W, 2), as PNG in sRGB.

    Whole or not at all: a temporary name, then a rename.

    Raises the operating system's error (OSError) where the folder cannot be written.
    """
    path = pathlib.Path(path)
    assert pixels.dtype == numpy.uint8, pixels.dtype
    declared = PngImagePlugin.PngInfo()
    declared.add(*SRGB_CHUNK)
    with atomic_file.unfinished(path) as temporary, temporary.open("xb") as file:
        Image.fromarray(numpy.ascontiguousarray(pixels)).save(file, format="PNG", pnginfo=declared)
        file.flush()
        os.fsync(file.fileno())


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """uint8 (H, W, 3) RGB as a JPEG file of this quality, 1 to 100, keeps it (colour at half resolution)."""
    file = io.BytesIO()
    Image.fromarray(numpy.ascontiguousarray(pixels)).save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file, formats=["JPEG"]) as image:
        return numpy.array(image)


@contextlib.contextmanager
def opened(path: pathlib.Path, data: bytes) -> Iterator[Image.Image]:
    """The image in a file's bytes with its header parsed; the path names it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_QUIET)
        with refusing(path):
            file = io.BytesIO(data)
            image = stack.enter_context(Image.open(file, formats=FORMATS))
            headers.note(image, file)
        yield image


@contextlib.contextmanager
def refusing(path: pathlib.Path) -> Iterator[None]:
    """Whatever Pillow raises over a file's content becomes one InputError; a lack of memory is none of it."""
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
        detail = str(error) or type(error).__name__
        if _NO_MEMORY in detail:  # Pillow's decoders say so by an OSError like any other
            raise MemoryError(f"{path} could not be decoded: {detail}") from error
        raise errors.InputError(f"{path} is damaged or incomplete and cannot be decoded ({detail}).") from None


def verify_checksums(path: pathlib.Path, data: bytes) -> None:
    """Pillow decodes PNG pixels without looking at their CRC; one flipped bit would pass."""
    with opened(path, data) as image, refusing(path):
        image.verify()


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8, or XMP's where EXIF has none; 1 where neither says a known one."""
    orientation = headers.exif_orientation(image)
    if orientation is None:
        orientation = headers.notes(image).get("orientation", 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _left_to_turn(image: Image.Image, orientation: int) -> int:
    """What of the orientation Pillow does not do: it turns a TIFF by its own tag when it loads it, and not by XMP."""
    return 1 if image.format == "TIFF" and headers.exif_orientation(image) is not None else orientation


def _upright_size(image: Image.Image, turned: int) -> tuple[int, int]:
    """(height, width). turned: what is left to turn; Pillow gives a TIFF's size upright already."""
    return (image.width, image.height) if turned >= 5 else (image.height, image.width)


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
