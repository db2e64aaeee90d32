"""A strict reader of HTML for tests: every element is closed in order, and the page loads nothing."""

import dataclasses
import html.parser
import re
from collections.abc import Iterator

VOID = {"meta", "img", "br"}
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "formaction"}


@dataclasses.dataclass
class Element:
    name: str
    attributes: dict[str, str]
    inner: list["Element | str"] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.inner)

    def all(self, name: str, class_: str | None = None) -> Iterator["Element"]:
        """Every element of this name (and class) below this one, in the order of the page."""
        for each in self.inner:
            if isinstance(each, Element):
                if each.name == name and class_ in (None, each.attributes.get("class")):
                    yield each
                yield from each.all(name, class_)


class _Builder(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]
        self.doctype = ""

    def handle_decl(self, decl: str) -> None:
        self.doctype = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        assert all(value is not None for _, value in attrs), f"<{tag}> has an attribute without a value"
        found = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inner.append(found)
        if tag not in VOID:
            self.open.append(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        raise AssertionError(f"<{tag} .../> is not HTML")

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inner.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(text: str) -> Element:
    """The page's <html> element; AssertionError where the page is not well-formed or would load anything."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.doctype == "DOCTYPE html"
    assert len(builder.open) == 1, f"never closed: {[each.name for each in builder.open[1:]]}"
    (page,) = (each for each in builder.open[0].inner if isinstance(each, Element))
    assert [each.name for each in page.inner if isinstance(each, Element)] == ["head", "body"]
    _assert_loads_nothing(page)
    return page


def _assert_loads_nothing(page: Element) -> None:
    for name in ("script", "link", "iframe", "object", "embed", "base", "form", "use", "image"):
        assert not list(page.all(name)), name
    for style in page.all("style"):
        assert not re.search(r"@import|url\(|expression|src:", style.text)
    for element in _walk(page):
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"a script: {name}"
            assert "url(" not in value
            if name in LOADING:
                assert value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")), value[:40]


def _walk(element: Element) -> Iterator[Element]:
    yield element
    for each in element.inner:
        if isinstance(each, Element):
            yield from _walk(each)
