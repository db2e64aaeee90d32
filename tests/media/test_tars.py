"""Tars, sound and damaged, against Python's `tarfile`."""

import io
import pathlib
import tarfile

import numpy as np
import pytest

from blursynth import errors
from blursynth.media import tars

LONG = "folder/" * 20 + "x" * 150 + ".png"


def packed(names: list[str], form: int = tarfile.USTAR_FORMAT, **headers: str) -> bytes:
    draws, whole = np.random.default_rng(0), io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=form, pax_headers=headers or None) as tar:
        for number, name in enumerate(names):
            entry = tarfile.TarInfo(name)
            data = draws.bytes(700 * number)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return whole.getvalue()


def listed(data: bytes) -> list[tuple[str, int, int]]:
    return [(each.name, each.start, each.size) for each in tars.members(io.BytesIO(data), "set.tar")]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(form: int) -> None:
    names = ["0.png", "below/" * 20 + "1.png", "2.json"]
    if form != tarfile.USTAR_FORMAT:
        names += [LONG, "é" * 120]
    data = packed(names, form, **({"comment": "of all"} if form == tarfile.PAX_FORMAT else {}))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(entry.name, entry.offset_data, entry.size) for entry in tar]
    assert listed(data) == expected
    assert [name for name, _, _ in expected] == names


def test_sizes_in_base_256_and_folders() -> None:
    entry = tarfile.TarInfo("big")
    entry.size = 2**33  # GNU writes it in base 256
    header = entry.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(errors.InputError, match="8589934592 bytes ends beyond the file"):
        listed(header + b"x" * 512)
    folder = tarfile.TarInfo("below")
    folder.type = tarfile.DIRTYPE
    data = packed(["a.png", "b.png"])
    assert listed(folder.tobuf(tarfile.USTAR_FORMAT) + data) == [
        (name, start + 512, size) for name, start, size in listed(data)
    ]


def whole() -> bytes:
    return packed([f"{number}.png" for number in range(5)])


DAMAGE = {
    "empty": lambda data: data[:0],
    "cut within the first header": lambda data: data[:300],
    "cut within a header": lambda data: data[: 512 + 512 + 1024 + 100],
    "cut within a member": lambda data: data[: 512 + 512 + 900],
    "cut at a member's end": lambda data: data[: 512 + 512 + 1024],
    "cut at the end marker": lambda data: data.rstrip(b"\0") + b"\0" * (-len(data.rstrip(b"\0")) % 512),
    "half an end marker": lambda data: data.rstrip(b"\0") + b"\0" * (-len(data.rstrip(b"\0")) % 512 + 512),
    "a lost header": lambda data: data[:2048] + bytes(512) + data[2560:],
    "a lost sector of 4 KiB": lambda data: data[:2048] + bytes(4096) + data[6144:],
    "another tar behind it": lambda data: data + data,
    "zeros instead of the last part": lambda data: data[:2048] + bytes(len(data) + 20480),
    "compressed": lambda data: b"\x1f\x8b\x08" + data,
    "a page of a web site": lambda data: b"<html>" * len(data),
}


@pytest.mark.parametrize("blocks", [1, 2, 20, 64, 128, 2048])
def test_records_of_other_sizes_are_padded_by_zeros(blocks: int) -> None:
    """As `tar -b BLOCKS` writes them."""
    data = whole()
    marker = len(data.rstrip(b"\0")) + -len(data.rstrip(b"\0")) % 512 + 1024
    padded = data[:marker] + bytes(-marker % (512 * blocks))
    assert len(padded) % (512 * blocks) == 0
    assert listed(padded) == listed(data)


@pytest.mark.parametrize("padding", [512 * 2048, 512 * 4096, 512 * 65])
def test_more_zeros_than_padding_are_refused(padding: int) -> None:
    data = whole()
    with pytest.raises(errors.InputError):
        listed(data + bytes(padding))


class _Short(io.BytesIO):
    """A file of which a read, once `left` were done, gives a byte fewer than it should."""

    left = 0

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        data = super().read(size)
        return data[:-1] if self.left < 0 else data


def test_a_short_read_is_no_damage() -> None:
    data = packed(["0.png", LONG, "2.png"], tarfile.PAX_FORMAT)
    for left in range(7):  # headers, names, and the end marker
        file = _Short(data)
        file.left = left
        with pytest.raises(errors.SourceError):
            tars.members(file, "set.tar")


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_or_ends_early_is_refused(name: str) -> None:
    assert len(listed(whole())) == 5
    with pytest.raises(errors.InputError, match=r"^set\.tar "):
        listed(DAMAGE[name](whole()))


def test_no_flipped_bit_of_a_header_loses_a_member() -> None:
    data, expected = whole(), listed(whole())
    for _, start, _ in expected:
        for bit in range(0, 4096, 7):
            flipped = bytearray(data)
            flipped[start - 512 + bit // 8] ^= 1 << bit % 8
            try:
                assert listed(bytes(flipped)) == expected  # a bit that says nothing: the space after a checksum
            except errors.InputError:
                continue


def test_no_cut_loses_a_member() -> None:
    data = whole()
    for size in range(0, len(data), 37):
        try:
            assert len(listed(data[:size])) == 5
        except errors.InputError:
            continue


def special(kind: bytes, name: str = "a.png", **headers: str) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    entry.pax_headers = headers
    form = tarfile.PAX_FORMAT if headers else tarfile.GNU_FORMAT
    return entry.tobuf(form) + bytes(1024)


@pytest.mark.parametrize("kind", [*b"12346SMVDZ"])
def test_kinds_that_are_no_plain_files_are_refused(kind: int) -> None:
    with pytest.raises(errors.InputError, match="such tars are refused"):
        listed(special(bytes([kind])))


def test_sparse_members_of_pax_are_refused() -> None:
    with pytest.raises(errors.InputError, match="sparse"):
        listed(special(tarfile.REGTYPE, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}))


@pytest.mark.parametrize(
    "text", [b"nonsense", b"0 path=a\n", b"999 path=a\n", b"10 path=abc", b"9 =value\n", b"12 size=-40\n", b"\xff\xfe"]
)
def test_pax_headers_that_are_malformed_are_refused(text: bytes) -> None:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, len(text)
    data = entry.tobuf(tarfile.USTAR_FORMAT) + text.ljust(512, b"\0") + packed(["0.png", "1.png"])
    with pytest.raises(errors.InputError, match=r"set\.tar is damaged"):
        listed(data)


def test_the_damaged_tar_of_a_report(shared_data: pathlib.Path) -> None:
    folder = shared_data / "cases" / "27-damaged-tars"
    assert len(listed((folder / "whole6" / "train-000000.tar").read_bytes())) >= 12
    with pytest.raises(errors.InputError, match="checksum"):
        listed((folder / "bitflip" / "train-000000.tar").read_bytes())
