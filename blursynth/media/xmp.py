"""What XMP packets say of a photo (ISO 16684-1), and gain maps of what they are a map of.

Names are resolved by the prefixes that a packet declares; TIFF's usual prefix counts without a declaration, too.
"""

import re
import struct
import xml.parsers.expat
from collections.abc import Iterator

_TIFF, _TIFF_PREFIX = "http://ns.adobe.com/tiff/1.0/", "tiff"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAME = b"Orientation"
_LONGEST = 16 << 20  # bytes of a packet
_DEEPEST = 100  # elements within each other

_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEAD = 32 + 8  # a digest, the whole's length and the part's place
_BASE = re.compile(rb"BaseRenditionIsHDR")
_SDR_BASE = re.compile(rb"BaseRenditionIsHDR(?:\s*=\s*[\"']|(?:\s+[\w:.-]+\s*=[^<>]*)?\s*>)\s*false\b", re.IGNORECASE)
_END_TAG = re.compile(rb"</\s*(?:[\w.-]+:)?BaseRenditionIsHDR\s*>")
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
_COMMON_DENOMINATOR, _BACKWARD = 8, 4  # flags of ISO 21496-1, annex C


def orientation(packet: bytes) -> int | None:
    """The value of `tiff:Orientation` of the photo itself; None where there is none.

    Raises ValueError where the name is in the packet and the packet is no XML that can be read.
    """
    if _NAME not in packet.replace(b"\0", b""):
        return None
    if len(packet) > _LONGEST:
        raise ValueError
    found = _Orientation()
    try:
        found.parser.Parse(packet.strip() if b"\0<" in packet else packet.strip(b"\0 \t\r\n"), True)
    except xml.parsers.expat.ExpatError as error:
        raise ValueError from error
    return int(found.text) if re.fullmatch(r"\s*\d{1,5}\s*", found.text) else None


class _Orientation:
    """Collects the text of the property `tiff:Orientation` of a node right below rdf:RDF, or of any where none is."""

    def __init__(self) -> None:
        self.text = ""
        self._names: list[tuple[str, str]] = []
        self._scopes: list[dict[str, str]] = [{_TIFF_PREFIX: _TIFF}]
        self._inside = 0  # the depth of the property whose text is collected
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: object) -> None:
        raise ValueError  # declares entities, which may stand for any amount of text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._names) >= _DEEPEST:
            raise ValueError
        declared = {key.partition(":")[2]: value for key, value in attributes.items() if key.startswith("xmlns")}
        self._scopes.append({**self._scopes[-1], **declared} if declared else self._scopes[-1])
        self._names.append(self._resolved(name))
        depth = len(self._names)
        if self._inside:
            self.text += "".join(value for key, value in attributes.items() if self._resolved(key) == (_RDF, "value"))
        elif self._names[-1] == (_TIFF, "Orientation") and self._is_node(depth - 1):
            self._inside = depth
            self.text = next((value for key, value in attributes.items() if self._resolved(key)[1] == "value"), "")
        if self._is_node(depth):
            for key, value in attributes.items():
                if ":" in key and self._resolved(key) == (_TIFF, "Orientation"):
                    self.text = value

    def _end(self, _: str) -> None:
        if self._inside == len(self._names):
            self._inside = 0
        self._names.pop()
        self._scopes.pop()

    def _characters(self, text: str) -> None:
        if self._inside:
            self.text += text

    def _is_node(self, depth: int) -> bool:
        """Whether the element at this depth, 1 and up, is about the photo, and not about another one named in it."""
        roots = [k for k, name in enumerate(self._names[:depth], 1) if name == (_RDF, "RDF")]
        return depth == roots[0] + 1 if roots else 1 <= depth <= 2

    def _resolved(self, name: str) -> tuple[str, str]:
        prefix, colon, local = name.partition(":")
        return (self._scopes[-1].get(prefix, prefix), local) if colon else (self._scopes[-1].get("", ""), name)


def has_hdr_base(content: bytes) -> bool:
    """Whether bytes of a file or a packet say anywhere that a gain map's base is HDR, or not clearly that it is not.

    Ultra HDR says it in the gain map's own packet, which lies behind the photo; ISO 21496-1 in its own segment.
    """
    return any(map(_says_hdr, (content, _extension(content)))) or _iso_says_hdr(content)


def _says_hdr(content: bytes) -> bool:
    if _BASE.search(content) is None:
        return False
    others = _END_TAG.sub(b"", content)
    return len(_BASE.findall(others)) > len(_SDR_BASE.findall(others))


def _segments(jpeg: bytes, name: bytes) -> Iterator[bytes]:
    """What stands behind this name in segments of a JPEG, and of those that lie behind it."""
    at = jpeg.find(name)
    while at >= 2:
        yield jpeg[at + len(name) : at - 2 + int.from_bytes(jpeg[at - 2 : at])]
        at = jpeg.find(name, at + 1)


def _extension(jpeg: bytes) -> bytes:
    """The parts of a JPEG's extended XMP, joined in the order of the file."""
    return b"".join(part[_EXTENSION_HEAD:] for part in _segments(jpeg, _EXTENSION))


def _iso_says_hdr(jpeg: bytes) -> bool:
    """Whether a gain map of ISO 21496-1 has a base with more headroom than its alternate."""
    for body in _segments(jpeg, _ISO_GAIN_MAP):
        if len(body) < 21 or body[:2] != b"\0\0":
            continue  # the photo's own segment holds a version alone
        flags, numbers = body[4], struct.unpack(">4I", body[5:21])
        base, alternate = (
            numbers[1:3]
            if flags & _COMMON_DENOMINATOR
            else (numbers[0] * numbers[3], numbers[2] * numbers[1])  # fractions, with denominators that are positive
        )
        if flags & _BACKWARD or base > alternate:
            return True
    return False
