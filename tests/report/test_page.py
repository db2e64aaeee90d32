"""The page of every kind of dataset: well-formed, complete in itself, and its numbers those of slow references."""

import base64
import io
import math
import pathlib
import re
import shlex
import statistics
from collections.abc import Callable
from typing import Any

import clip_files
import html_page
import kinds
import numpy as np
import pytest
import zarr
from PIL import Image

from blursynth.makers import average_frames_request, convolve
from blursynth.production import run
from blursynth.report import blur, charts, levin, numbers, origin, page
from blursynth.storage import reader


def made(kind: str, folder: pathlib.Path) -> pathlib.Path:
    """A small dataset of a kind; "clips" are pairs of averaged frames, "... without kernels" keep none."""
    out = folder / "made.zarr"
    if kind.startswith("clips"):
        clip_files.write(folder / "clip.mp4", clip_files.moving(60, 64, 96))
        maker: Any = average_frames_request.maker(
            [str(folder / "clip.mp4")], {"seed": 3, "frames": "3-7", "motion": "still" not in kind}
        )
    elif "without" in kind:
        asked = kinds.PAIRS | {"no_psf": True}
        asked |= {"field": "2x3", "variation": "0:0.5"} if "field" in kind else {}
        maker = convolve.maker(str(kinds.photos(folder / "photos")), asked)
    else:
        maker = kinds.make(kind, folder)
    run.produce(maker, out)
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> reader.Dataset:
    return reader.open(made("photos", tmp_path_factory.mktemp("photos")))


def charts_of(found: html_page.Element) -> dict[str, html_page.Element]:
    """Charts by the title above them."""
    return {next(chart.all("h3")).text: chart for chart in found.all("article", "chart")}


def counts(chart: html_page.Element) -> list[int]:
    return [int(bar.text.rsplit(": ", 1)[1].replace(",", "")) for bar in chart.all("rect")]


@pytest.mark.parametrize("kind", [*kinds.KINDS, "clips", "clips, still", "photos without kernels", "field without"])
def test_every_kind_has_a_page(kind: str, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path) -> None:
    path = kept(kind).path if kind in kinds.KINDS else made(kind, tmp_path)
    dataset = reader.open(path)
    text = page.page(dataset, count=3)
    found = html_page.read(text)
    assert next(found.all("h1")).text == path.name
    assert f"3 of {dataset.items}, spread evenly" in found.text
    pictures = list(found.all("img"))
    assert len(pictures) % 3 == 0
    for picture in pictures:
        stored = Image.open(io.BytesIO(base64.b64decode(picture.attributes["src"].split(",", 1)[1])))
        assert str(stored.width) == picture.attributes["width"]
        assert str(stored.height) == picture.attributes["height"]
        assert max(stored.size) <= page.CELL
        assert picture.attributes["alt"]
    assert ("real: minimum" in found.text) == (not kind.startswith(("clips", "imported")))  # these have no kernels
    assert str(path.parent) not in text.replace(str(path), ""), "no path of this machine"
    assert dataset.fingerprint in text
    if kind.startswith("imported"):  # a pair is of two files, and which they are is no distribution
        both = len(set(dataset.columns["source"])) + len(set(dataset.columns["blurred_source"]))
        assert f"{len(dataset.sources)} sources; items name {both} of them." in found.text
        assert "blurred_source" not in found.text
    for version in dataset.attributes["versions"].values():
        assert version in text
    for line in dataset.attributes["recipe"].splitlines():
        assert line in found.text


def test_the_same_dataset_has_the_same_page(photos: reader.Dataset) -> None:
    assert page.page(photos) == page.page(reader.open(photos.path))


def test_columns_are_counted_right(photos: reader.Dataset) -> None:
    shown = charts_of(html_page.read(page.page(photos)))
    group = zarr.open_group(photos.path, mode="r")
    valid = np.asarray(group["valid"][:], bool)
    assert not valid.all(), "some items could not be made, and are not counted"
    length = [float(value) for value in np.asarray(group["length"][:])[valid]]
    exposure = [float(value) for value in np.asarray(group["exposure"][:])[valid]]
    assert counts(shown["exposure"]) == [exposure.count(value) for value in sorted(set(exposure))]
    travelled = [a * b for a, b in zip(length, exposure, strict=True)]
    for title, values, unit in (("path length, px", travelled, " px"), ("length, px", length, " px")):
        chart = shown[title]
        assert sum(counts(chart)) == len(values)
        median = charts.number(float(np.float32(statistics.median(values))))
        assert f"median {median}{unit}, 5 % to 95 %: " in chart.text
    assert not {"crop_x", "split", "source", "valid"} & {title.split(",")[0] for title in shown}


def slow_shapes(kernel: Any) -> tuple[int, float]:
    """Support and spread of one kernel, pixel by pixel."""
    places = [(y, x, float(kernel[y, x])) for y in range(len(kernel)) for x in range(len(kernel))]
    total = sum(value for *_, value in places)
    mean_y, mean_x = (sum(place[axis] * place[2] for place in places) / total for axis in (0, 1))
    square = sum(((y - mean_y) ** 2 + (x - mean_x) ** 2) * value for y, x, value in places) / total
    return sum(value > 0.02 * kernel.max() for *_, value in places), math.sqrt(square)


def test_kernels_and_their_comparison(photos: reader.Dataset) -> None:
    found = html_page.read(page.page(photos, sample=5))
    assert f"5 kernels of 5 of {photos.items} items, spread evenly: the stored PSFs." in found.text
    taken = [round(k * (photos.items - 1) / 4) for k in range(5)]
    measured = [slow_shapes(kernel) for kernel in photos.read("psf", taken)]
    rows = {next(row.all("th")).text: [cell.text for cell in row.all("td")] for row in found.all("tr")}
    for k, name in enumerate(("support", "spread")):
        values, real = [one[k] for one in measured], levin.SHAPES[name]
        ours, theirs, inside = rows[f"{name}, px"]
        assert float(ours.split(" / ")[1]) == pytest.approx(statistics.median(values), rel=5e-3)
        expected = [min(real), statistics.median(real), max(real)]
        assert [float(cell) for cell in theirs.split(" / ")] == pytest.approx(expected, rel=5e-3)
        assert inside == f"{20 * sum(min(real) <= value <= max(real) for value in values)} %"
    assert len(list(charts_of(found)["kernel peak"].all("line", "mark"))) == 8
    assert "CVPR 2009" in found.text


def test_kernels_that_are_not_stored_are_rendered_again(photos: reader.Dataset, tmp_path: pathlib.Path) -> None:
    without = reader.open(made("photos without kernels", tmp_path))
    again, stored = blur.measure(without, 100), blur.measure(photos, 100)
    assert again is not None
    assert stored is not None
    assert "psf" not in without.names
    assert again.what == "PSFs rendered from the recorded recipe"
    for name, values in stored.shapes.items():
        # Canvases of other sizes round other ways.
        assert np.allclose(again.shapes[name], values, atol=1e-4, equal_nan=True), name


def test_images_against_a_slow_reference(photos: reader.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_BATCH_BYTES", 24 * 24 * 3 * 2)  # batches of two
    found = numbers.difference(photos, 7)
    assert found is not None
    assert found.items == 7
    taken = [round(k * (photos.items - 1) / 6) for k in range(7)]
    ratios, changes = [], []
    for blurred, sharp in zip(photos.read("blurred", taken), photos.read("sharp", taken), strict=True):
        error = statistics.fmean((int(a) - int(b)) ** 2 for a, b in zip(blurred.flat, sharp.flat, strict=True))
        ratios.append(10 * math.log10(255**2 / error))
        light = [sum((int(code) / 255) ** 2.2 for code in image.flat) for image in (blurred, sharp)]
        changes.append(100 * (light[0] / light[1] - 1))
    assert found.psnr.mean == pytest.approx(statistics.fmean(ratios))
    assert (found.psnr.least, found.psnr.greatest) == pytest.approx((min(ratios), max(ratios)))
    assert found.light.mean == pytest.approx(statistics.fmean(changes), rel=1e-4)
    assert "as light (gamma2.2)" in found.light.meaning


def test_sampling_is_stated(photos: reader.Dataset) -> None:
    few = html_page.read(page.page(photos, count=2, sample=4, images=3)).text
    for words in (
        f"2 of {photos.items}, spread evenly from the first",
        f"4 kernels of 4 of {photos.items} items, spread evenly",
        f"Images, of 3 of {photos.items}, spread evenly.",
        f"Columns, of all {photos.items} items.",
    ):
        assert words in few
    everything = html_page.read(page.page(photos)).text
    assert f"{photos.items} kernels of all {photos.items} items: the stored PSFs." in everything
    assert f"Images, of all {photos.items}." in everything


def test_sources_and_what_was_left_out(photos: reader.Dataset) -> None:
    found = html_page.read(page.page(photos))
    rows = {next(row.all("th")).text: [cell.text for cell in row.all("td")] for row in found.all("tr")}
    source = photos.sources[2]
    items = str(int((photos.columns["source"] == 2).sum()))
    size = f"{source['width']} x {source['height']}"
    assert rows[source["name"]] == [items, size, f"{source['bytes']:,}", source["sha256"][:16]]
    assert "8 sources; items name 7 of them." in found.text
    (left,) = photos.attributes["skipped"]
    assert [left["reason"]] in [
        [cell.text for cell in row.all("td")] for row in found.all("tr") if next(row.all("th")).text == "cut.png"
    ]
    assert f"3 of {photos.attributes['items']} planned items could not be made." in found.text


def test_names_that_are_markup_stay_names(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "photos"
    kinds.photos(folder)
    evil = "<script>alert('1')</script> &amp; \" onload=\"x.png".replace("/", "_")
    (folder / "3.png").rename(folder / evil)
    out = tmp_path / "<b>.zarr"
    run.produce(convolve.maker(str(folder), kinds.PAIRS | {"seed": 1}, command=f"blursynth '{evil}' <img>"), out)
    found = html_page.read(page.page(reader.open(out), count=100))
    assert next(found.all("h1")).text == "<b>.zarr"
    assert any(evil in caption.text for caption in found.all("figcaption"))
    assert any(evil in picture.attributes["alt"] for picture in found.all("img"))


@pytest.mark.parametrize(
    "line",
    [
        "blursynth trajectories --n 1000",
        "blursynth convolve 'my photos/' --size 256 --per-photo 10 --length 5:25 --out 'it'\"'\"'s here.zarr' -q",
        "blursynth average-frames a.mp4 b.mp4 c.mp4 --frames 7-13 --size 96 --per-window 4 --min-motion 5 --out c.zarr",
    ],
)
def test_a_command_in_lines_is_the_same_command(line: str) -> None:
    shown = origin.in_lines(line)
    assert shlex.split(shown.replace("\\\n", "")) == shlex.split(line)
    assert max(map(len, shown.splitlines())) <= 76
    assert shlex.split(origin.in_lines(f"{line} --overwrite -y").replace("\\\n", "")) == shlex.split(line)
    assert origin.in_lines("blursynth 'never closed " + "x" * 80) == "blursynth 'never closed " + "x" * 80


def test_the_style_has_both_schemes_and_print() -> None:
    style = page._style()
    for rule in (r"@media \(prefers-color-scheme: dark\)", "@media print", r"@media \(max-width"):
        assert re.search(rule, style)
    used = set(re.findall(r"var\((--\w+)\)", style)) - {"--cells"}
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        assert used <= set(re.findall(r"(--\w+):", block)), "every scheme names every colour"
