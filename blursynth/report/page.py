"""A dataset on one self-contained HTML page: items, distributions, real kernels for comparison, provenance."""

import base64
import dataclasses
import importlib.resources
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe
import numpy as np
from PIL import Image

import blursynth
from blursynth.report import blur, charts, distribution, drawing, levin, numbers, origin, preview, shapes
from blursynth.storage import reader

CELL = 256  # px, side of a picture on the contact sheet
_QUALITY = 88  # of JPEG
_LEGEND = {
    "kernel": " Kernels: the square root of the values, white at the peak, the centre pixel outlined.",
    "path": " Paths: blue at their beginning, orange at their end.",
}
_SCALE = "Sizes are in px of an image as it is stored: the same shake of the same hand is larger in a larger image."


@dataclasses.dataclass(frozen=True)
class _Picture:
    """A picture of the contact sheet, as a data URI; px."""

    uri: str
    width: int
    height: int
    caption: str


def page(dataset: reader.Dataset, count: int = 8, sample: int = 4096, images: int = 256) -> str:
    """Return the page as text, the same for the same dataset, package and arguments.

    count: items on the contact sheet. sample: kernels that are measured, about. images: pairs whose images are
    compared. All three are spread evenly over the dataset, and the page says so; columns are those of all items.
    Raises DatasetError where nothing can be shown, or stored data cannot be read.
    """
    name = pathlib.PurePosixPath(dataset.path).name
    return template("page.html").render(
        title=f"{name}: {dataset.items:,} {dataset.kind}",
        style=markupsafe.Markup(_style()),
        name=name,
        heading=_heading(dataset),
        sheet=_sheet(dataset, count),
        kernels=_kernels(dataset, sample),
        columns=_columns(dataset, images),
        origin=origin.origin(dataset),
        version=blursynth.__version__,
    )


def template(name: str) -> jinja2.Template:
    """Load one of the templates beside this module: `page.html`, or `chart.svg` for one chart."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("blursynth.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _style() -> str:
    return importlib.resources.files("blursynth.report").joinpath("page.css").read_text(encoding="utf-8")


def _heading(dataset: reader.Dataset) -> list[tuple[str, str]]:
    made = dataset.attributes
    facts = [("kind", dataset.kind), ("items", f"{dataset.items:,}")]
    for name in dataset.names:
        size = " x ".join(str(extent) for extent in dataset.shape_of(name))
        facts.append((name, f"{size}, {dataset.dtype_of(name)}"))
    if dataset.kind == "pairs":
        facts.append(("transfer function", dataset.transfer_function))
        counts = np.bincount(dataset.columns["split"], minlength=len(dataset.splits))
        shares = [f"{name} {count:,}" for name, count in zip(dataset.splits, counts, strict=True) if count]
        facts.append(("splits", ", ".join(shares)))
        facts.append(("sources", f"{made['sources']:,}"))
    facts.append(("fingerprint", dataset.fingerprint[:16]))
    return facts


def _sheet(dataset: reader.Dataset, count: int) -> dict[str, Any]:
    cells = preview.cells(dataset, count, CELL)
    text = f"{len(cells)} of {dataset.items:,}, spread evenly from the first to the last."
    text += "".join(legend for what, legend in _LEGEND.items() if any(cell.shows == what for cell in cells[0]))
    return {"text": text, "in_rows": len(cells[0]) > 1, "rows": [[_picture(cell) for cell in row] for row in cells]}


def _picture(cell: preview.Cell) -> _Picture:
    height, width = cell.picture.shape[:2]
    return _Picture(_data(cell.picture, cell.shows == "photo"), width, height, cell.caption)


def _data(picture: drawing.Picture, photo: bool) -> str:
    """The picture as a data URI: photos as JPEG without subsampled colour, drawings as PNG."""
    stored = io.BytesIO()
    if photo:
        Image.fromarray(picture).save(stored, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    else:
        Image.fromarray(picture).save(stored, "PNG", optimize=True)
    return f"data:image/{'jpeg' if photo else 'png'};base64,{base64.b64encode(stored.getvalue()).decode()}"


def _kernels(dataset: reader.Dataset, sample: int) -> dict[str, Any] | None:
    measured = blur.measure(dataset, sample)
    if measured is None:
        return None
    distributions = shapes.distributions(measured.shapes, levin.SHAPES)
    which = f"all {dataset.items:,} items"
    if measured.items != dataset.items:
        which = f"{measured.items:,} of {dataset.items:,} items, spread evenly"
    return {
        "text": f"{measured.kernels:,} kernels of {which}: {measured.what}.",
        "charts": _charts(distributions),
        "comparison": [_comparison(each) for each in distributions if each.beside],
        "note": f"Real kernels: {levin.SOURCE}. {_SCALE}",
    }


def _comparison(shown: distribution.Distribution) -> tuple[str, ...]:
    real = np.array(shown.beside)
    ours = _triple(shown.low, shown.median, shown.high)
    theirs = _triple(float(real.min()), float(np.median(real)), float(real.max()))
    unit = "" if shown.units == "1" else f", {shown.units}"
    return shown.name + unit, ours, theirs, f"{100 * shown.inside / shown.number:.0f} %"


def _triple(*values: float) -> str:
    return " / ".join(charts.number(value) for value in values)


def _columns(dataset: reader.Dataset, images: int) -> dict[str, Any]:
    columns = list(numbers.columns(dataset))
    difference = numbers.difference(dataset, images)
    shown = None
    if difference is not None:
        whole = difference.items == dataset.items
        which = f"all {difference.items:,}" if whole else f"{difference.items:,} of {dataset.items:,}, spread evenly"
        shown = {"which": which, "charts": _charts([difference.psnr, difference.light])}
    return {
        "number": f"{dataset.items:,}",
        "varying": _charts([each for each in columns if each.varies]),
        "constant": [_constant(each) for each in columns if each.number and not each.varies],
        "unknown": [each.name for each in columns if not each.number],
        "images": shown,
    }


def _constant(shown: distribution.Distribution) -> tuple[str, ...]:
    unit = "" if shown.units == "1" else f" {shown.units}"
    return shown.name, charts.number(shown.least, 6) + unit, shown.meaning


def _charts(distributions: Sequence[distribution.Distribution]) -> list[charts.Chart]:
    return [charts.chart(each) for each in distributions if each.number]
