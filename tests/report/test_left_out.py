"""What is said of datasets with much that was left out, with many sources, or with nothing to show."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import dying_store
import fake_maker
import html_page
import kinds
import numpy as np
import numpy.typing as npt
import pytest

from blursynth import errors
from blursynth.production import run
from blursynth.report import describe, origin, page, preview
from blursynth.storage import provenance, reader


@dataclasses.dataclass(frozen=True)
class Many(fake_maker.Fake):
    """Thirty sources, of which the items name two; each item that cannot be made has a reason of its own."""

    def record(self) -> provenance.Record:
        sources = tuple({"name": f"{k}.png", "sha256": f"{k:064}"} for k in range(30))
        return dataclasses.replace(super().record(), sources=sources)

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:
        return [provenance.Skipped(f"item {item}", "is truncated") for item in invalid]


def made(maker: fake_maker.Fake, path: pathlib.Path) -> reader.Dataset:
    run.produce(maker, path)
    return reader.open(path)


def test_every_array_and_column_is_described(kept: Callable[[str], kinds.Kept]) -> None:
    dataset = reader.open(kept("photos").path)
    lines = describe.describe(dataset).splitlines()
    first_words = [line.split()[0] for line in lines if line.startswith("  ")]
    assert set(dataset.names) | set(dataset.columns) - set(describe.COUNTED) <= set(first_words)
    (lengths,) = (line.split() for line in lines if line.startswith("  length ") and "px" in line)
    values = dataset.columns["length"]
    assert [float(cell) for cell in lengths[1:4]] == pytest.approx(
        [values.min(), np.median(values), values.max()], rel=1e-3
    )
    assert lengths[4] == dataset.attributes_of("length")["units"]


def test_reasons_are_listed_up_to_a_number(tmp_path: pathlib.Path) -> None:
    few = describe.describe(made(Many(items=20, broken=4), tmp_path / "few.zarr"))
    many = describe.describe(made(Many(items=50, broken=4), tmp_path / "many.zarr"))
    assert few.count("is truncated") == 5
    assert many.count("is truncated") == describe.SKIPPED_SHOWN
    assert "and 3 more" in many.splitlines()[-1]
    assert "more" not in few.splitlines()[-1]


def test_sources_and_reasons_of_a_page_are_cut_off_and_counted(tmp_path: pathlib.Path) -> None:
    dataset = made(Many(items=240, broken=4), tmp_path / "a.zarr")
    found = origin.origin(dataset)
    assert found.sources is not None
    assert [row[:2] for row in found.sources.rows[:3]] == [("0.png", "60"), ("1.png", "120"), ("2.png", "0")]
    assert (len(found.sources.rows), len(found.left_out.rows)) == (origin.SOURCES_SHOWN, origin.SKIPPED_SHOWN)
    fewer = origin.origin(made(Many(items=8, broken=4), tmp_path / "b.zarr"))
    assert len(fewer.left_out.text) < len(found.left_out.text)
    nothing = origin.origin(made(fake_maker.Fake(), tmp_path / "c.zarr"))
    assert nothing.left_out.rows == []
    assert nothing.sources is not None
    assert len(nothing.sources.text) < len(found.sources.text)


def test_without_an_item_there_are_words_and_no_pictures(tmp_path: pathlib.Path) -> None:
    with pytest.raises(dying_store.Killed), dying_store.dies_after(8):
        run.produce(fake_maker.Fake(), tmp_path / "a.zarr", workers=1)
    dataset = reader.open(tmp_path / "a.zarr", incomplete=True)
    assert dataset.items == 0
    said = describe.describe(dataset)
    assert "INCOMPLETE" in said
    assert "columns" not in said
    with pytest.raises(errors.DatasetError):
        preview.sheet(dataset)


def test_a_kind_that_no_picture_is_known_of_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.DatasetError, match="fake"):
        preview.sheet(made(fake_maker.Fake(), tmp_path / "a.zarr"))


@pytest.mark.parametrize("kind", ["trajectories", "psfs", "photos with moving objects"])
def test_a_sheet_shows_the_cells_of_the_page(kind: str, kept: Callable[[str], kinds.Kept]) -> None:
    """The pictures that the page has, each in a cell of the sheet."""
    dataset = reader.open(kept(kind).path)
    rows = preview.cells(dataset, 4, 64)
    sheet = preview.sheet(dataset, 4, 64)
    assert len(list(html_page.read(page.page(dataset, count=4)).all("img"))) == sum(map(len, rows))
    for picture in (cell.picture for row in rows for cell in row):
        height, width = picture.shape[:2]
        windows = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3))[:, :, 0]
        corner = np.argwhere((windows[..., 0, 0, :] == picture[0, 0]).all(axis=-1))
        assert any(np.array_equal(windows[y, x], picture) for y, x in corner)
