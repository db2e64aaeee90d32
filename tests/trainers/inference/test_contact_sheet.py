"""Sheets: what stands where, small images, long captions."""

import numpy as np
import pytest
from PIL import ImageFont

from trainers.inference import contact_sheet


def flat(height: int, width: int, level: int) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def test_images_stand_beside_and_below_each_other() -> None:
    rows = [[flat(200, 240, 10), flat(200, 240, 20)], [flat(210, 240, 30), flat(210, 240, 40)]]
    found = contact_sheet.sheet(rows, [["a", "b"], ["c", "d"]])
    gap, line = contact_sheet.GAP, contact_sheet.LINE
    assert found.shape == (200 + 210 + 2 * line + 3 * gap, 2 * 240 + 3 * gap, 3)
    second = gap + 200 + line + gap
    for (top, left), level in {
        (gap, gap): 10,
        (gap, gap + 240 + gap): 20,
        (second, gap): 30,
        (second, gap + 240 + gap): 40,
    }.items():
        assert (found[top : top + 200, left : left + 240] == level).all()


def test_small_images_are_enlarged_and_captions_do_not_widen_columns() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    caption = "best: GOPR0384_11_00/000012, input 25.31 " + "W" * 60
    found = contact_sheet.sheet([[image, image]], [[caption, "sharp"]])
    gap = contact_sheet.GAP
    assert found.shape[1] == 2 * 192 + 3 * gap
    assert np.array_equal(found[gap : gap + 144, gap : gap + 192], image.repeat(3, axis=0).repeat(3, axis=1))
    lines = (found.shape[0] - 2 * gap - 144) / contact_sheet.LINE
    assert lines == int(lines) >= 5


@pytest.mark.parametrize("text", ["", "one", "two words", "a " * 40, "unbreakable" * 9])
def test_lines_fit_and_lose_nothing(text: str) -> None:
    font = ImageFont.load_default(size=13)
    lines = contact_sheet._broken(text, 100, font)
    assert all(font.getlength(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_large_images_are_cut_to_their_centre() -> None:
    rows, columns = np.mgrid[0:400, 0:500]
    image = np.stack([rows % 256, columns % 256, 0 * rows], axis=2).astype(np.uint8)
    found = contact_sheet.sheet([[image]], [["x"]])
    expected = image[8:392, 58:442]
    assert np.array_equal(
        found[contact_sheet.GAP : contact_sheet.GAP + 384, contact_sheet.GAP : contact_sheet.GAP + 384], expected
    )
