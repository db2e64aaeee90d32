"""The members of a plain tar, from its headers to its end marker; whatever is damaged, cut short or odd is refused.

Python's `tarfile` takes a damaged header, a zeroed block and the end of a file alike for the end of the archive, and
what follows is lost in silence. Here every header has a right checksum, every member ends within the file, two blocks
of zeros end the archive (POSIX.1-2017, pax, "ustar interchange format"), and nothing but zeros follows them.

Known are the formats v7, ustar (with its prefix), pax (global and extended headers) and GNU (long names, sizes in
base 256). Refused are links, devices, sparse members, further volumes, and types that are not known.
"""

import dataclasses
import os
from collections.abc import Iterator
from typing import IO

from blursynth import errors
from blursynth.media import source_file

BLOCK = 512
RECORD = 20 * BLOCK
"""Writers pad an archive with zeros to a multiple of this by default."""
_LARGER_RECORDS = tuple(BLOCK << k for k in range(6, 12))  # 32 KiB to 1 MiB: `tar -b 64` to `-b 2048`

_REGULAR, _FOLDER = (b"0", b"\0", b"7"), b"5"
_EXTENDED, _GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_OF_THE_NEXT = (_EXTENDED, _GLOBAL, _LONG_NAME, _LONG_LINK)
_KINDS = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "sparse (GNU)",
    b"M": "a part of a file that began in another volume",
    b"V": "the label of a volume",
    b"D": "a list of an incremental backup",
}
_LONGEST_HEADER = 2**20  # bytes of a long name or a pax header: PATH_MAX is 4096
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK": "zip"}


@dataclasses.dataclass(frozen=True)
class Member:
    """A file of a tar: its name, and where its bytes lie in the tar."""

    name: str
    start: int
    size: int


def members(file: IO[bytes], path: str) -> list[Member]:
    """The files of a tar, in their order; folders are none. `path` is its name in errors.

    Names are UTF-8; bytes that are not come as surrogate escapes. Raises InputError where the archive is damaged, cut
    short, compressed or of a kind that is refused (with the offset in bytes), SourceError where fewer bytes come than
    the file has, and OSError where it cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    return list(_Walk(file, path, size).members())


class _Walk:
    """One pass over a tar."""

    def __init__(self, file: IO[bytes], path: str, size: int) -> None:
        self._file = file
        self._path = path
        self._size = size
        self._at = 0
        self._everywhere: dict[str, bytes] = {}  # global pax records

    def members(self) -> Iterator[Member]:
        own: dict[str, bytes] = {}  # of the member that comes next
        while (header := self._header()) is not None:
            kind, records = header[156:157], {key: value for key, value in (self._everywhere | own).items() if value}
            name = self._name(header, records)
            size = self._member_size(header, {} if kind in _OF_THE_NEXT else records)
            start, self._at = self._at, self._at + size + -size % BLOCK
            if start + size > self._size:
                raise self._damaged(start - BLOCK, f"its member {name!r} of {size} bytes ends beyond the file")
            if kind in (_EXTENDED, _GLOBAL):
                found = self._pax(start, size)
                if kind == _GLOBAL:
                    self._everywhere |= found
                else:
                    own |= found
                continue
            if kind == _LONG_NAME:
                own["path"], end, rest = self._text(start, size).partition(b"\0")
                if not own["path"] or not end or rest:
                    raise self._damaged(start, "the long name there is empty, or goes on after its end")
                continue
            if kind == _LONG_LINK:  # of a link, which is refused when it comes
                continue
            own = {}
            if any(key.startswith("GNU.sparse.") for key in records):
                kind = b"S"
            if kind in _REGULAR and not (kind == b"\0" and name.endswith("/")):
                yield Member(name, start, size)
            elif kind not in (_FOLDER, b"\0"):
                what = _KINDS.get(kind, f"of the unknown type {kind!r}")
                raise errors.InputError(
                    f"{self._path} has a member {name!r} that is {what} (at byte {start - BLOCK}); such tars are "
                    "refused. Pack its files anew, as plain ones."
                )
        if own:
            raise self._damaged(self._at, "a header of names stands there without its member")

    def _header(self) -> bytes | None:
        """The next header block, checked; None at the end marker."""
        at = self._at
        block = self._bytes(at, BLOCK)
        if not block.strip(b"\0") and block:
            self._require_end(at)
            return None
        if not block:
            what = "it ends without its end marker" if at else "it is empty"
            raise self._damaged(at, what)
        if len(block) < BLOCK:
            raise self._damaged(at, "it ends within a header")
        plain = sum(block[:148]) + 8 * 32 + sum(block[156:])
        checksum = self._number(block[148:156], at)
        # Some old programs took bytes for signed numbers.
        signed = 256 * sum(byte > 127 for byte in block[:148] + block[156:]) if checksum != plain else 0
        if checksum != plain - signed:
            raise self._damaged(at, "the checksum of the header there is wrong")
        self._at = at + BLOCK
        return block

    def _require_end(self, at: int) -> None:
        """Two blocks of zeros, and then nothing, or zeros that fill a record."""
        rest = self._size - at
        if rest < 2 * BLOCK or rest % BLOCK:
            raise self._damaged(at, "it ends within its end marker")
        position = at
        while piece := self._bytes(position, 2**20):
            if other := piece.strip(b"\0"):
                where = position + piece.index(other)
                if where < at + 2 * BLOCK:
                    raise self._damaged(at, "a block of zeros stands there instead of a header")
                raise self._damaged(
                    where,
                    "data follow its end marker: zeros overwrote a part of it, or tars were joined byte by byte (join "
                    "them with `tar --concatenate`)",
                )
            position += len(piece)
        if rest >= 2 * BLOCK + RECORD and not self._is_padded(rest - 2 * BLOCK):
            raise self._damaged(
                at,
                f"it ends in {rest} bytes of zeros, more than usual padding (to a multiple of 10 KiB, or of a power of "
                "two up to 1 MiB), so that its last part may be lost",
            )

    def _is_padded(self, zeros: int) -> bool:
        """Whether a writer of larger records adds so many zeros: fewer than a record, up to a multiple of its size.

        Zeros that overwrote the last members seldom end there. So those stay refused, as do records of odd sizes.
        """
        return any(zeros < record and self._size % record == 0 for record in _LARGER_RECORDS)

    def _name(self, header: bytes, records: dict[str, bytes]) -> str:
        name = header[:100].partition(b"\0")[0]
        prefix = header[345:500].partition(b"\0")[0]
        if prefix and header[257:263] == b"ustar\0":
            name = prefix + b"/" + name
        return records.get("path", name).decode("utf-8", "surrogateescape")

    def _member_size(self, header: bytes, records: dict[str, bytes]) -> int:
        at = self._at - BLOCK
        if header[156:157] in (b"1", b"2", b"3", b"4", b"5", b"6"):
            return 0
        if "size" not in records:
            return self._number(header[124:136], at)
        if not records["size"].isdigit() or len(records["size"]) > 20:
            raise self._damaged(at, "its pax header has a size that is no number")
        return int(records["size"])

    def _number(self, field: bytes, at: int) -> int:
        """Octal digits, or base 256 where the first bit is set (GNU)."""
        if field[0] in (0x80, 0xFF):
            return int.from_bytes(field[1:], "big") if field[0] == 0x80 else self._refuse_number(at)
        digits = field.partition(b"\0")[0].strip()
        if digits.strip(b"01234567"):
            return self._refuse_number(at)
        return int(digits or b"0", 8)

    def _refuse_number(self, at: int) -> int:
        raise self._damaged(at, "the header there has a number that is none")

    def _text(self, start: int, size: int) -> bytes:
        if size > _LONGEST_HEADER:
            raise self._damaged(start - BLOCK, f"a header of names there has {size} bytes")
        return self._bytes(start, size)

    def _pax(self, start: int, size: int) -> dict[str, bytes]:
        """Records "LENGTH KEY=VALUE\\n" of a pax header, where LENGTH counts the whole record in bytes."""
        text, found, first = self._text(start, size), dict[str, bytes](), 0
        while first < len(text):
            length, space, _ = text[first : first + 20].partition(b" ")
            stop = first + int(length) if space and length.isdigit() else first
            key, equals, value = text[first + len(length) + 1 : max(stop - 1, first)].partition(b"=")
            if not equals or not key or stop > len(text) or text[stop - 1 : stop] != b"\n":
                raise self._damaged(start - BLOCK, "the pax header there is malformed")
            found[key.decode("utf-8", "surrogateescape")] = value
            first = stop
        return found

    def _bytes(self, start: int, size: int) -> bytes:
        """At most these, where the file ends before. Raises SourceError where fewer come than the file has."""
        self._file.seek(start)
        return source_file.whole(self._path, self._file.read(size), max(0, min(size, self._size - start)))

    def _damaged(self, at: int, what: str) -> errors.InputError:
        head = self._bytes(0, 8)
        packed = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None)
        if packed and at == 0:
            return errors.InputError(
                f"{self._path} is no plain tar but compressed ({packed}); decompress it, so that its members can be "
                "read one by one."
            )
        return errors.InputError(
            f"{self._path} is damaged or cut short at byte {at}: {what}. Nothing of it is taken; copy or pack it anew, "
            "or leave it out."
        )
