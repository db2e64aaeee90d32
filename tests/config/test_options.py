"""Options that follow from config models: their names, the page that lists them, and errors that name them."""

import pathlib

import pytest

from blursynth import errors
from blursynth.config import commands, options, photo_pairs, reference, shake

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTOS = "size fit per_photo transfer splits realism"
PATHS = "preset steps length anxiety inertia impulse gaussian angle"
CAMERA = (
    "preset path correlation rotation roll translation forward depth motion field_of_view focal target readout knots "
    "gyro gyro_columns exposure gyro_scale no_path"
)
NAMES = {
    "trajectories": f"n {PATHS}",
    "psfs": "exposures size centring grid",
    "convolve": f"{PHOTOS} exposure psf_size no_psf trajectories kernels normalise {PATHS} field variation strict",
    "shake": f"{PHOTOS} {CAMERA} depth_scale layers depth_orientation strict",
    "objects": f"{PHOTOS} {CAMERA} masks objects object_path object_correlation object_motion spin least greatest grow "
    "masks_orientation strict",
    "average-frames": "preset frames target stride duty_cycle transfer response rounding interpolate motion max_step "
    "min_motion size crop per_window matrix primaries fps splits realism gamma allow_fps allow_damaged strict",
    "import": "transfer blurred sharp split size per_pair partial strict",
}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_those_of_before(name: str) -> None:
    found = [option.name for option in commands.COMMANDS[name].options]
    assert sorted(found) == sorted([*NAMES[name].split(), "seed", "shard_length"])
    assert all(option.text for option in commands.COMMANDS[name].options)


def test_the_reference_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "reference" / "options.md").read_text(encoding="utf-8")
    assert page == reference.page(), "write it again: python -m blursynth.config.reference > docs/reference/options.md"


def test_what_an_option_says_of_itself() -> None:
    known = {option.name: option for option in commands.COMMANDS["convolve"].options}
    assert (known["size"].kind, known["size"].limits) == ("whole", "from 8 to 16,384")
    assert (known["no_psf"].kind, known["no_psf"].field) == ("flag", "store_psf")
    assert (known["length"].default, known["length"].field) == ("60", "motion.length")
    assert "to 2,000" in known["length"].limits
    assert known["preset"].choices == ("boracchi-foi", "deblurgan", "algorithm-1")
    shaking = {option.name: option for option in commands.COMMANDS["shake"].options}
    assert shaking["path"].choices == ("gaussian", "boracchi-foi")
    assert (shaking["focal"].kind, shaking["focal"].limits) == ("number", "above 0 to 1,000,000,000")


def test_options_and_recorded_tables_are_the_same_values() -> None:
    table = {"motion": {"length": 5, "steps": 200}, "store_psf": False, "field": {"rows": 2, "columns": 3}}
    flat = options.flat(table, photo_pairs.Convolve, "[a]: convolve")
    assert flat == {"length": 5, "steps": 200, "no_psf": True, "field": "2x3"}
    values = options.values(flat, photo_pairs.Convolve)
    assert values == {"motion": {"length": 5, "steps": 200}, "store_psf": False}
    depth = options.flat({"depth_maps": {"scale": 0.1, "layers": 3}}, shake.Shake, "[a]: shake")
    assert depth == {"depth_scale": 0.1, "layers": 3}
    assert options.values(depth, shake.Shake) == {"depth_maps": {"scale": 0.1, "layers": 3}}
    assert options.values({"exposure": [0.1, 1]}, photo_pairs.Convolve) == {"exposure": "0.1,1"}


def test_what_is_said_twice_or_is_not_known_is_refused() -> None:
    with pytest.raises(errors.RecipeError, match="length twice"):
        options.flat({"length": 3, "motion": {"length": 5}}, photo_pairs.Convolve, "[a]: convolve")
    with pytest.raises(errors.RecipeError, match="did you mean length"):
        options.flat({"motion": {"lenght": 5}}, photo_pairs.Convolve, "[a]: convolve")


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"psf_size": 4}, "--psf-size: "),
        ({"motion": {"anxiety": 3}}, "--anxiety: "),
        ({"store_psf": 3}, "--no-psf: "),
        ({"field": {"rows": 0, "columns": 1}}, "--field: "),
        ({"field": {"rows": 1, "columns": 1, "variation": 9}}, "--variation: "),
        ({"realism": {"sensor": {"gain": "a"}}}, "--realism sensor.gain: "),
        ({"splits": {"tran": 1}}, "--splits tran: "),
    ],
)
def test_errors_name_the_option(values: dict[str, object], flag: str) -> None:
    with pytest.raises(errors.RecipeError) as caught:
        options.build({"psf_size": 3, "motion": {}} | values, photo_pairs.Convolve)
    assert f"\n  {flag}" in str(caught.value)


def test_values_are_checked_before_their_sources_are_looked_at() -> None:
    shaking = commands.COMMANDS["shake"]
    for wrong in ({"size": "64"}, {"size": 1}, {"fit": "stretch"}, {"readout": "much"}, {"no_path": 1}, {"seed": -1}):
        with pytest.raises(errors.RecipeError, match=next(iter(wrong)).replace("no_path", "true or false")):
            shaking.resolved(wrong)
    assert shaking.resolved({"size": 64})["strict"] is False
