"""HTML and SVG elements as text: what is given as text is escaped, what is given as elements is not."""

import html
from collections.abc import Sequence


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *inner: str, **attributes: object) -> Markup:
    """`<name attribute="...">inner</name>`; class_ is the attribute class, view_box is viewBox, others - for _."""
    listed = "".join(f' {_NAMES.get(key, key.replace("_", "-"))}="{_text(value)}"' for key, value in attributes.items())
    if name in _VOID:
        assert not inner
        return Markup(f"<{name}{listed}>")
    return Markup(f"<{name}{listed}>{join(*inner)}</{name}>")


def join(*parts: str) -> Markup:
    """Elements and text, one after another."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], words: bool = False) -> Markup:
    """A table of numbers, or words, with a line of headings; the first cell of each row is its heading.

    It scrolls where it is too wide.
    """
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    return element(
        "div",
        element("table", element("thead", top), element("tbody", *body)),
        class_="wide words" if words else "wide",
    )


_VOID = frozenset({"meta", "img", "br"})
_NAMES = {"class_": "class", "view_box": "viewBox"}


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
