"""A dataset on one HTML page that needs nothing else: items, distributions, real kernels beside them, provenance."""

import base64
import importlib.resources
import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

import blursynth
from blursynth.report import blur, charts, distribution, drawing, levin, numbers, origin, preview, shapes
from blursynth.report.markup import Markup, element, join, table
from blursynth.storage import reader

CELL = 256  # px, side of a picture on the contact sheet
_QUALITY = 88  # of JPEG
_LEGEND = {
    "kernel": " Kernels: the square root of the values, white at the peak, the centre pixel outlined.",
    "path": " Paths: blue at their beginning, orange at their end.",
}
_SCALE = "Sizes are in px of an image as it is stored: the same shake of the same hand is larger in a larger image."


def page(dataset: reader.Dataset, count: int = 8, sample: int = 4096, images: int = 256) -> str:
    """The page as text, the same for the same dataset, package and arguments.

    count: items on the contact sheet. sample: kernels that are measured, about. images: pairs whose images are
    compared. All three are spread evenly over the dataset, and the page says so; columns are those of all items.
    Raises DatasetError where nothing can be shown, or stored data cannot be read.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{_name(dataset)}: {dataset.items:,} {dataset.kind}"),
        element("style", Markup(_style())),
    )
    body = element(
        "body",
        _heading(dataset),
        _sheet(dataset, count),
        _kernels(dataset, sample),
        _columns(dataset, images),
        origin.command(dataset),
        origin.provenance(dataset),
        origin.sources(dataset),
        origin.left_out(dataset),
        element("p", f"Written by blursynth report, version {blursynth.__version__}.", class_="note"),
    )
    return join(Markup("<!DOCTYPE html>\n"), element("html", head, "\n", body, lang="en"), "\n")


def _style() -> str:
    return importlib.resources.files("blursynth.report").joinpath("page.css").read_text(encoding="utf-8")


def _name(dataset: reader.Dataset) -> str:
    return pathlib.PurePosixPath(dataset.path).name


def _heading(dataset: reader.Dataset) -> Markup:
    made = dataset.attributes
    facts = [("kind", dataset.kind), ("items", f"{dataset.items:,}")]
    for name in dataset.names:
        size = " x ".join(str(extent) for extent in dataset.shape_of(name))
        facts.append((name, f"{size}, {dataset.dtype_of(name)}"))
    if dataset.kind == "pairs":
        facts.append(("light", dataset.transfer_function))
        numbers_of = np.bincount(dataset.columns["split"], minlength=len(dataset.splits))
        shares = [f"{name} {number:,}" for name, number in zip(dataset.splits, numbers_of, strict=True) if number]
        facts.append(("splits", ", ".join(shares)))
        facts.append(("sources", f"{made['sources']:,}"))
    facts.append(("fingerprint", dataset.fingerprint[:16]))
    return element("header", element("h1", _name(dataset)), origin.fact_list(facts))


def _sheet(dataset: reader.Dataset, count: int) -> Markup:
    shown = preview.cells(dataset, count, CELL)
    told = f"{len(shown)} of {dataset.items:,}, spread evenly from the first to the last."
    rows = len(shown[0]) > 1
    told += "".join(text for what, text in _LEGEND.items() if any(cell.shows == what for cell in shown[0]))
    if rows:
        items = [
            element("div", *map(_figure, row), class_="item", style=f"--cells: {len(row)}", role="group")
            for row in shown
        ]
        sheet = element("div", *items, class_="rows")
    else:
        sheet = element("div", *(_figure(row[0]) for row in shown), class_="sheet")
    return element("section", element("h2", "Items"), element("p", told), sheet)


def _figure(cell: preview.Cell) -> Markup:
    height, width = cell.picture.shape[:2]
    picture = element(
        "img", src=_data(cell.picture, cell.shows == "photo"), alt=cell.caption, width=width, height=height
    )
    return element("figure", picture, element("figcaption", cell.caption))


def _data(picture: drawing.Picture, photo: bool) -> str:
    """The picture as a data URI: photos as JPEG without subsampled colour, drawings as PNG."""
    stored = io.BytesIO()
    if photo:
        Image.fromarray(picture).save(stored, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    else:
        Image.fromarray(picture).save(stored, "PNG", optimize=True)
    return f"data:image/{'jpeg' if photo else 'png'};base64,{base64.b64encode(stored.getvalue()).decode()}"


def _kernels(dataset: reader.Dataset, sample: int) -> Markup:
    heading = element("h2", "Kernels")
    measured = blur.measure(dataset, sample)
    if measured is None:
        text = "No kernels are stored for these items, and none can be rendered from what is stored."
        return element("section", heading, element("p", text))
    found = shapes.distributions(measured.shapes, levin.SHAPES)
    whole = measured.items == dataset.items
    told = (
        f"{measured.kernels:,} kernels of {'all' if whole else f'{measured.items:,} of'} {dataset.items:,} items"
        f"{'' if whole else ', spread evenly'}: {measured.what}."
    )
    key = join("The marks below the axes are ", element("span", "eight real camera shakes", class_="key"), ".")
    return element(
        "section",
        heading,
        element("p", told, " ", key),
        _charts(found),
        element("h3", "Beside eight real camera shakes"),
        _comparison(found),
        element("p", f"Real kernels: {levin.SOURCE}. {_SCALE}", class_="note"),
    )


def _comparison(found: Sequence[distribution.Distribution]) -> Markup:
    rows = []
    for shown in found:
        if shown.beside:
            real = np.array(shown.beside)
            ours = _triple(shown.low, shown.median, shown.high)
            theirs = _triple(float(real.min()), float(np.median(real)), float(real.max()))
            unit = "" if shown.units == "1" else f", {shown.units}"
            inside = f"{100 * shown.inside / shown.number:.0f} %"
            rows.append((shown.name + unit, ours, theirs, inside))
    head = ("", "here: 5 %, median, 95 %", "real: least, median, greatest", "within the real range")
    return table(head, rows)


def _triple(*values: float) -> str:
    return " / ".join(charts.number(value) for value in values)


def _columns(dataset: reader.Dataset, images: int) -> Markup:
    found = list(numbers.columns(dataset))
    apart = numbers.difference(dataset, images)
    parts = [element("h2", "Distributions")]
    varying = [shown for shown in found if shown.number and shown.varies]
    if varying:
        parts += [element("p", f"Columns, of all {dataset.items:,} items."), _charts(varying)]
    constant = [shown for shown in found if shown.number and not shown.varies]
    if constant:
        rows = [
            (
                shown.name,
                charts.number(shown.least, 6) + ("" if shown.units == "1" else f" {shown.units}"),
                shown.meaning,
            )
            for shown in constant
        ]
        parts += [element("p", "The same for every item:"), table(("column", "value", "meaning"), rows, words=True)]
    unknown = [shown.name for shown in found if not shown.number]
    if unknown:
        parts.append(element("p", f"Not measured: {', '.join(unknown)}."))
    if apart is not None:
        whole = apart.items == dataset.items
        which = f"all {apart.items:,}" if whole else f"{apart.items:,} of {dataset.items:,}, spread evenly"
        parts += [element("p", f"Images, of {which}."), _charts([apart.psnr, apart.light])]
    return element("section", *parts)


def _charts(found: Sequence[distribution.Distribution]) -> Markup:
    return element("div", *(_chart(shown) for shown in found if shown.number), class_="charts")


def _chart(shown: distribution.Distribution) -> Markup:
    unit = "" if shown.units == "1" else f", {shown.units}"
    missing = f" {shown.missing:,} have none." if shown.missing else ""
    return element(
        "article",
        element("h3", shown.title + unit),
        element("p", shown.meaning + "." if shown.meaning else "", class_="meaning"),
        charts.bars(shown),
        element("p", charts.summary(shown) + "." + missing),
        class_="chart",
    )
