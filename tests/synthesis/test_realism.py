"""What a camera makes of blurred light, step by step."""

import pathlib

import numpy as np
import numpy.typing as npt
import pytest

from blursynth import errors
from blursynth.config import realism as realism_config
from blursynth.config import toml
from blursynth.kernels import response, sensor
from blursynth.maintenance import replay, verify
from blursynth.makers import convolve, realism_request
from blursynth.media import photos
from blursynth.production import run
from blursynth.synthesis import crop, realism, uniform

ITEMS = np.arange(3000, dtype=np.int64)
SMOOTH = np.linspace(0.02, 0.97, 40 * 50 * 3).reshape(40, 50, 3).astype(np.float32)


def wanted(**values: object) -> realism_config.Realism:
    return toml.build(values, realism_config.Realism)


def camera(transfer: str = "gamma2.2", **values: object) -> realism.Camera:
    config = wanted(**values)
    return realism.Camera(config, transfer, values=one(config), seed=1, item=2)


def one(asked: realism_config.Realism, item: int = 0) -> dict[str, float]:
    return realism.of_item(realism.draw(asked, 1, ITEMS[item : item + 1]), 0)


def quiet(**values: object) -> dict[str, object]:
    """A sensor without noise."""
    return {"sensor": {"shot": 0, "read": 0, **values}}


def test_without_steps_light_is_clipped_and_encoded() -> None:
    light = (3 * SMOOTH - 1).astype(np.float32)
    made = camera().blurred(light)
    assert np.array_equal(made, response.encode(np.clip(light, 0, 1), "gamma2.2"))


def test_saturation_adds_the_blurred_mask_of_white() -> None:
    draws = np.random.default_rng(0)
    photo = draws.integers(0, 250, (60, 60, 3), dtype=np.uint8)
    photo[20:24, 30:35] = 255
    photo[5, 5, 1] = 255
    psf = draws.uniform(0, 1, (9, 9)).astype(np.float32)
    psf /= psf.sum()
    cut = crop.Crop(photo, 4, 4, 50, 50)
    raised = uniform.light(cut, psf, realism.decode_table("srgb", 1.5))
    plain = uniform.light(cut, psf, realism.decode_table("srgb", 0))
    mask = uniform.light(cut, psf, (np.arange(256) == 255).astype(np.float32))
    assert raised == pytest.approx(plain + 1.5 * mask, abs=1e-5)


@pytest.mark.parametrize("pattern", sensor.PATTERNS)
def test_a_sensor_without_noise_shows_flat_colours_as_they_are(pattern: str) -> None:
    for colour in ((0.2, 0.5, 0.1), (0.9, 0.05, 0.4), (0.3, 0.3, 0.3)):
        flat = np.broadcast_to(np.array(colour, np.float32), (16, 18, 3))
        asked = camera(**quiet(pattern=pattern))
        made = asked.blurred(flat).astype(int)
        expected = response.encode(np.ascontiguousarray(flat), "gamma2.2").astype(int)
        # Malvar's corrections see the mosaic of a saturated colour as texture at the mosaic's own frequency only.
        assert np.abs(made - expected).max() <= 1


def test_noise_of_a_sensor_through_the_whole_camera() -> None:
    # A sensor that sees linear sRGB itself, so that green on green pixels and red on red ones are as they were read.
    matrix = tuple(np.linalg.inv(realism._SRGB_TO_XYZ).ravel().tolist())
    own = {"gain": 1, "red": 2, "blue": 1.6, "pattern": "rggb", "matrix": matrix}
    asked = wanted(preset="rsblur", sensor=own)
    assert asked.sensor is not None
    grey = np.full((300, 300, 3), 0.4, np.float32)
    seen = realism._seen(grey, asked.sensor, one(asked), 1, 2).astype(np.float64)
    assert seen.mean(axis=(0, 1)) == pytest.approx([0.4] * 3, abs=1e-3)
    for part, gain in ((seen[::2, 1::2, 1], 1), (seen[::2, ::2, 0], 2), (seen[1::2, 1::2, 2], 1.6)):
        # White balance multiplies what was read of light divided by the same gain.
        variance = gain**2 * (1e-4 * 0.4 / gain + 9.1504e-4**2)
        assert part.var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / part.size))


def test_what_is_at_white_has_no_noise() -> None:
    light = np.full((20, 20, 3), 0.5, np.float32)
    light[5:9, 5:9] = 1.7
    asked = camera(preset="realblur", sensor={"read": 0.05})
    made = asked.blurred(light)
    assert (made[5:9, 5:9] == 255).all()
    assert made[:5].std() > 3


def test_gains_and_patterns_are_drawn_for_each_item() -> None:
    asked = wanted(preset="rsblur")
    values = realism.draw(asked, 3, ITEMS)
    assert list(values) == ["saturation", "shot_noise", "read_noise", "red_gain", "blue_gain", "bayer"]
    assert (values["read_noise"].astype(np.float64) ** 2).mean() / 9.1504e-4**2 == pytest.approx(13 / 12, rel=0.03)
    for name, low, high in (("saturation", 0.25, 1.75), ("red_gain", 1.9, 2.4), ("blue_gain", 1.5, 1.9)):
        assert low <= values[name].min() < values[name].max() <= high
    assert np.bincount(values["bayer"]).tolist() == pytest.approx([750] * 4, abs=100)
    assert np.abs(np.corrcoef(np.stack([values[name] for name in list(values)[:5]])) - np.eye(5)).max() < 0.07
    part = realism.draw(asked, 3, ITEMS[100:110])
    assert all(np.array_equal(part[name], values[name][100:110]) for name in values)


def test_lai_s_noise_is_one_sided_and_gaussian_noise_is_not() -> None:
    grey = np.full((64, 64, 3), 0.25, np.float32)
    code = int(response.encode(grey, "linear")[0, 0, 0])
    lai, gaussian = (camera("linear", preset=name) for name in ("lai", "gaussian"))
    assert set(np.unique(lai.blurred(grey))) == {code, code + 1, code + 2, code + 3}
    apart = gaussian.blurred(grey).astype(float) - code
    assert apart.std() == pytest.approx(np.sqrt(2.55**2 + 1 / 12), rel=0.05)


def test_a_response_is_given_to_both_images() -> None:
    table = tuple((np.arange(256) / 255) ** 1.6)
    asked = camera("srgb", response=table)
    codes = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    light = response.to_linear(codes / 255, "srgb")
    expected = np.rint(light ** (1 / 1.6) * 255)
    for made in (asked.sharp(codes), asked.blurred(light.astype(np.float32))):
        # Nearest in light and nearest in code differ where the curve bends within one code.
        assert np.abs(made - expected).max() <= 1
        assert (made == expected).mean() > 0.95


def test_jpeg_is_the_last_step() -> None:
    asked = camera(jpeg="30:90")
    values = asked.values
    assert 30 <= values["jpeg_quality"] <= 90
    made = asked.blurred(SMOOTH)
    plain = response.encode(SMOOTH, "gamma2.2")
    assert np.array_equal(made, photos.through_jpeg(plain, int(values["jpeg_quality"])))
    assert not np.array_equal(made, plain)


def test_words_become_a_table(tmp_path: pathlib.Path) -> None:
    words = ["rsblur", "saturation=off", "sensor.read=1e-3", "jpeg=70:95"]
    table = realism_request.table(words)["realism"]
    built = toml.build(table, realism_config.Realism)
    assert built.saturation is None
    assert built.sensor is not None
    assert (built.sensor.shot, built.sensor.read) == (1e-4, 1e-3)
    assert built.jpeg is not None
    assert (built.jpeg.minimum, built.jpeg.maximum) == (70, 95)
    assert realism_request.table(("none",)) == {}
    matrix = realism_request.table(["preset=rsblur", "response=off", "sensor.matrix=9,8,7,6,5,4,3,2,1"])
    own = toml.build(matrix["realism"], realism_config.Realism)
    assert (own.preset, own.response) == ("rsblur", None)
    assert own.sensor is not None
    assert own.sensor.matrix == (9, 8, 7, 6, 5, 4, 3, 2, 1)
    curve = tmp_path / "curve.txt"
    np.savetxt(curve, np.arange(256) ** 1.5)
    assert len(realism_request.table([f"response={curve}"])["realism"]["response"]) == 256
    curve.write_bytes(bytes(range(200, 256)))
    with pytest.raises(errors.InputError, match="is not a text file"):
        realism_request.table([f"response={curve}"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rsblur", "lai"], "two presets"),
        (["rsblur", "jpeg=80", "jpeg=90"], "jpeg=90 is the second setting of jpeg"),
        (["rsblur", "sensor.read=1e-3", "sensor.read=1e-4"], "second setting of sensor.read"),
        (["rsbluer"], "rsblur"),
        (["sensor=off", "sensor.read=1"], "sensor=off and --realism sensor.read=1 contradict"),
        (["rsblur", "sensor.gain=off"], "only whole steps can be off, as sensor=off"),
        (["sensor.gain=2"], "--realism sensor.shot: missing"),
        (["rsblur", "sensor.matrix=1,2"], "--realism sensor.matrix: .* at least 9"),
        (["rsblur", "sensor.matrix=1,x"], "nine numbers"),
        (["jepg=70"], "jpeg"),
        (["jpeg=0"], "between 1 and 100"),
        (["response=/nowhere"], "cannot be read"),
    ],
)
def test_words_that_are_not_understood(words: list[str], said: str) -> None:
    with pytest.raises((errors.RecipeError, errors.SourceError), match=said):
        convolve.maker("scenes:2", {"seed": 0, "size": 32, "length": 9, "realism": words})


def test_pairs_say_what_was_drawn_and_keep_the_sharp_image() -> None:
    options = {"seed": 0, "size": 32, "length": 9, "per_photo": 3}
    plain = convolve.maker("scenes:2", options).make(range(6))
    real = convolve.maker("scenes:2", options | {"realism": ["rsblur"]}).make(range(6))
    assert np.array_equal(plain["sharp"], real["sharp"])
    assert not np.array_equal(plain["blurred"], real["blurred"])
    apart = np.abs(plain["blurred"].astype(int) - real["blurred"])
    assert 0.5 < apart.mean() < 12
    names = set(real) - set(plain)
    assert names == {"saturation", "shot_noise", "read_noise", "red_gain", "blue_gain", "bayer"}


@pytest.mark.parametrize("words", [["rsblur", "saturation=off"], ["lai", "uniform=off"], ["rsblur", "sensor=off"]])
def test_what_is_off_stays_off_in_the_record(words: list[str], tmp_path: pathlib.Path) -> None:
    maker = convolve.maker("scenes:2", {"seed": 0, "size": 32, "length": 9, "realism": words})
    run.produce(maker, tmp_path / "pairs.zarr")
    found = verify.verify(str(tmp_path / "pairs.zarr"))
    assert found.sound, found
    assert replay.replay(tmp_path / "pairs.zarr", 1).equal
    again = realism_config.Realism.model_validate(maker.recipe.realism.model_dump(exclude_none=True))
    assert again == maker.recipe.realism


def test_a_dataset_with_a_response_says_that_its_codes_follow_a_table(tmp_path: pathlib.Path) -> None:
    curve = tmp_path / "curve.txt"
    np.savetxt(curve, np.arange(256) ** 1.5)
    options = {"seed": 0, "size": 32, "length": 9, "realism": [f"response={curve}"]}
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    maker = convolve.maker("scenes:2", options)
    assert [a.attributes["transfer_function"] for a in maker.schema.arrays[:2]] == ["table", "table"]
    arrays = maker.make(range(2))
    rows = np.arange(2)
    columns = {name: arrays[name] for name in ("source", "crop_y", "crop_x")}
    for row, sharp in maker.sharp(rows, columns):
        assert np.array_equal(sharp, arrays["sharp"][row])
