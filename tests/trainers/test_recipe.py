"""Training recipes: strict, changed by flags, and every shipped one loads."""

import pathlib
from collections.abc import Callable

import pytest

from blursynth import errors
from blursynth.config import toml
from trainers import methods, recipe

SHIPPED = sorted(
    path
    for folder in ("training", "smoke")
    for path in (toml.shipped_folder() / folder).glob("*.toml")
    if not path.stem.endswith("-data")  # those make datasets
)


@pytest.fixture
def text(fake_method: object, recipe_text: Callable[..., str], tmp_path: pathlib.Path) -> str:  # noqa: ARG001
    return recipe_text(tmp_path / "pairs.zarr", tmp_path / "run")


@pytest.fixture
def file(text: str, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_recipe_loads_and_resolves_to_itself(path: pathlib.Path) -> None:
    loaded = recipe.load(path)
    assert recipe.differences(recipe.parse(toml.to_toml(loaded)), loaded) == []


def test_shipped_recipes_are_found_by_name_and_there_are_some() -> None:
    assert {path.stem for path in SHIPPED} >= {"deblurgan", "demo"}
    assert recipe.load("deblurgan").schedule.constant == 150
    assert recipe.load("smoke/deblurgan").name == "smoke-deblurgan"


def test_every_wrong_key_is_named_at_once_with_the_nearest(text: str) -> None:
    wrong = text.replace("batch = 2", "bacth = 2").replace('name = "fake"', 'name = "fake"\nrtae = 1.0')
    with pytest.raises(errors.RecipeError, match=r"(?s)data\.bacth.*'batch'.*method\.rtae.*'rate'"):
        recipe.parse(wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data.crop=-1", "data.crop"),
        ("data.train=[]", "names no dataset"),
        ("schedule.constant=0", None),
        ('method.name="debblurgan"', "Did you mean 'deblurgan'"),
        ("method.name=3", "give \\[method\\] a name"),
        ("schedule.milestones=[100]", "milestones must lie between"),
        ("schedule.clock=hours", "schedule.clock"),
        ("validation.split=test", "validation never uses"),
        ("seed=-1", "seed"),
        ("name=a/b", "name"),
        ("data.batch", "key.path=value"),
        ("data.batch.deep=1", "batch is not a table"),
        ('data.train=[{path="a\\u0000b"}]', "data.train.0.path"),
        ('validation.path="a\\u0000b"', "validation.path"),
        ('output.folder="a\\u0000b"', "output.folder"),
        ("a." * 64 + "b=1", "64 parts"),
        ("a." * 20_000 + "b=1", "64 parts"),
        ("a." * 63 + "b=1", "unknown key"),
        ("data.batch=999999999999999999999999999999", "data.batch"),
        ('data.train=[{path="a", weight=1e308}]', "data.train.0.weight"),
        ("schedule.constant=1e308", "schedule.constant"),
        ("schedule.decay=1e16", "schedule.decay"),
    ],
)
def test_set_changes_one_value_and_wrong_ones_are_refused(file: pathlib.Path, change: str, words: str | None) -> None:
    if words is None:
        assert recipe.load(file, [change]).schedule.constant == 0
        return
    with pytest.raises(errors.RecipeError, match=words):
        recipe.load(file, [change])


def test_nothing_to_train_is_refused(file: pathlib.Path) -> None:
    with pytest.raises(errors.RecipeError, match="nothing would be trained"):
        recipe.load(file, ["schedule.constant=0", "schedule.decay=0"])


def test_rotation_needs_a_square_crop(file: pathlib.Path) -> None:
    with pytest.raises(errors.RecipeError, match="square crop"):
        recipe.load(file, ["data.crop=0", "data.rotate=true"])


def test_flags_win_over_the_recipe(file: pathlib.Path) -> None:
    loaded = recipe.load(file, ["method.rate=0.5", "name=other"], ["a.zarr", 'odd "name".zarr'], "elsewhere")
    assert [entry.path for entry in loaded.data.train] == ["a.zarr", 'odd "name".zarr']
    assert loaded.folder == pathlib.Path("elsewhere")
    assert (loaded.name, loaded.method.model_dump()["rate"]) == ("other", 0.5)


def test_default_folder_follows_the_name(file: pathlib.Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("folder")]
    assert recipe.parse("\n".join(lines)).folder == pathlib.Path("runs/test")


def test_a_method_missing_from_the_recipe_is_one_sentence(text: str) -> None:
    with pytest.raises(errors.RecipeError, match="does not say what to train"):
        recipe.parse(text.replace("[method]", "[methods]"))


def test_text_that_is_not_toml_or_not_utf8(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.RecipeError, match="not valid TOML"):
        recipe.parse("name = ")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(errors.RecipeError, match="UTF-8"):
        recipe.load(tmp_path / "latin.toml")


def test_differences_name_keys_and_ignore_where_the_run_lies(file: pathlib.Path) -> None:
    old = recipe.load(file)
    assert recipe.differences(old, recipe.load(file, [], [], "moved")) == []
    assert recipe.differences(old, recipe.load(file, ["method.rate=0.5"])) == ["method.rate: 0.01 -> 0.5"]


def test_schedule_is_constant_then_linear_to_zero() -> None:
    schedule = recipe.Schedule(clock="epochs", constant=150, decay=150)
    epoch = 1000
    assert schedule.images(epoch) == 300_000
    assert [schedule.factor(seen, epoch) for seen in (0, 150_000)] == [1.0, 1.0]
    assert schedule.factor(225_000, epoch) == pytest.approx(0.5)
    assert 0 < schedule.factor(299_999, epoch) < 1e-5


def test_schedule_milestones_multiply() -> None:
    schedule = recipe.Schedule(clock="images", constant=100, milestones=(40, 80), milestone_factor=0.5)
    assert [schedule.factor(seen, 7) for seen in (0, 39, 40, 79, 80, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("deblurgan", {}),
        ("deblurgan-wild", {}),
        ("deblurgan-comb", {}),
        ("deblurgan-release", {"variant": "release"}),
        ("deepdeblur", {}),
        ("deepdeblur-k1", {"scales": 1}),
        ("deepdeblur-k2", {"scales": 2}),
        ("deepdeblur-release", {"variant": "release"}),
        ("deep-generative-filter", {"name": "deep-generative-filter"}),
        ("light-deblurgan", {"name": "light-deblurgan"}),
        ("pix2pix", {"name": "pix2pix"}),
        ("resgan", {"name": "resgan"}),
    ],
)
def test_published_settings_spell_out_what_their_variant_is(name: str, differs: dict[str, object]) -> None:
    section = recipe.load(name).method.model_dump()
    kind = methods.find(str(section["name"]))
    assert section == toml.build(differs, kind.Config).model_dump()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_published_setting_has_a_smoke_twin_of_the_same_kind(path: pathlib.Path) -> None:
    twin = toml.shipped_folder() / "smoke" / path.name
    published, small = recipe.load(path), recipe.load(twin)
    assert small.method_name == published.method_name
    for setting in (
        "variant",
        "scales",
        "upconvolution",
        "content",
        "content_sum",
        "adversarial",
        "convolutions",
        "counted",
        "conditional",
        "global_skip",
    ):
        assert getattr(small.method, setting, None) == getattr(published.method, setting, None)
    assert [each.weight for each in small.data.train] == [each.weight for each in published.data.train]


@pytest.mark.parametrize(
    ("name", "before", "changes"),
    [
        ("-2", "-1", "method.content_weight: 0.0 -> 145.0"),
        ("-3", "-2", "method.adversarial_weight: 0.0 -> 1.0"),
        ("-4", "-3", "method.conditional: False -> True"),
        ("-5", "-4", "method.global_skip: False -> True"),
        ("", "-5", f"method.dilations: {[1] * 10} -> {[1, 2, 1, 3, 1, 4, 1, 3, 1, 2]}"),
        ("-a", "", "method.residual: [] -> [1, 2, 3, 8, 9, 10]"),
        ("-b", "", "method.residual: [] -> [4, 5, 6, 7]"),
    ],
)
def test_the_ablations_are_one_named_step_apart(name: str, before: str, changes: str) -> None:
    """Tables 1 and 3 of Ramakrishnan et al., the latter cumulative."""
    old, new = recipe.load(f"deep-generative-filter{before}"), recipe.load(f"deep-generative-filter{name}")
    step = [line for line in recipe.differences(old, new) if not line.startswith("name:")]
    assert step == [changes]
    small = [recipe.load(f"smoke/deep-generative-filter{each}").method for each in (before, name)]
    key = changes.partition(":")[0].removeprefix("method.")
    assert getattr(small[0], key) != getattr(small[1], key)


def test_schedules_are_those_of_the_papers() -> None:
    iterations = {0: 1.0, 299_999: 1.0, 300_000: 0.1, 899_999: 0.1}
    paper = recipe.load("deepdeblur")
    images = paper.schedule.images(2_103)
    assert images == 900_000 * paper.data.batch
    for iteration, factor in iterations.items():
        assert paper.schedule.factor(iteration * paper.data.batch, 2_103) == pytest.approx(factor)
    release = recipe.load("deepdeblur-release").schedule
    epochs = {0: 1, 499: 1, 500: 0.5, 750: 0.25, 900: 0.125, 999: 0.125}
    for epoch, factor in epochs.items():
        assert release.factor(epoch * 2_103, 2_103) == pytest.approx(factor)
    light = recipe.load("light-deblurgan").schedule
    assert (light.clock, light.constant, light.decay) == ("epochs", 150, 350)
    for name in ("deblurgan", "deblurgan-wild", "deblurgan-comb", "deblurgan-release"):
        assert (recipe.load(name).schedule.constant, recipe.load(name).schedule.decay) == (150, 150)
    assert [each.weight for each in recipe.load("deblurgan-comb").data.train] == [2, 1]
    assert recipe.load("deblurgan-wild").data.limit == 1000
