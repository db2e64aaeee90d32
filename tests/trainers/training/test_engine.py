"""What the `[engine]` section does, each part against the simplest way to say it."""

import json
import logging
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import golden_curves
import numpy as np
import pytest
import torch
from torch.utils import _python_dispatch

from blursynth import errors
from trainers import methods, recipe
from trainers.checkpoints import checkpoint
from trainers.inference import restorer
from trainers.methods import method
from trainers.training import divergence, engine, loop, recorder, run_folder, session

CPU = torch.device("cpu")


def prepared(setting: str, **section: Any) -> method.Method:
    """A golden setting as an engine section has it; float64, which bfloat16 alone cannot have."""
    trained = golden_curves.prepared(setting)
    if section.get("precision") == "bfloat16":
        for module in trained.modules:
            module.float()
    engine.prepare(recipe.Engine(**section), trained, CPU)
    return trained


def curve(trained: method.Method, steps: int = 4, dtype: torch.dtype = torch.float64) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {}
    for step in range(steps):
        torch.manual_seed(step)
        batches = [
            method.Batch(batch.blurred_NCHW.to(dtype), batch.sharp_NCHW.to(dtype))
            for batch in golden_curves._batches(trained.batches_per_step, step)
        ]
        for name, term in trained.step(batches).items():
            seen.setdefault(name, []).append(float(term))
    return seen


def assert_equal(ours: method.Method, theirs: method.Method, rel: float = 1e-8) -> None:
    found, expected = curve(ours), curve(theirs)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=rel, abs=1e-12), name
    for name, network in theirs.networks.items():
        for mine, other in zip(ours.networks[name].parameters(), network.parameters(), strict=True):
            # Not biases: what a norm cancels has no gradient but rounding, which Adam makes into steps.
            assert mine.dim() < 2 or torch.allclose(mine, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("setting", golden_curves.SETTINGS)
def test_two_parts_of_one_are_a_batch_of_two(setting: str) -> None:
    if not methods.find(setting.split()[0]).accumulates:
        with pytest.raises(errors.RecipeError, match="cannot split a batch"):
            prepared(setting, accumulation_steps=2)
        return
    assert_equal(prepared(setting, accumulation_steps=2), prepared(setting))


def test_a_part_is_let_go_before_the_next_is_made() -> None:
    alive, most = 0, 0
    weight = torch.nn.Parameter(torch.ones(()))

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return value * 2

        @staticmethod
        def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
            nonlocal alive
            alive -= 1
            return gradient * 2

    parts = ({"loss": Watched.apply(weight) * number} for number in (1.0, 2.0, 6.0))
    terms = method.accumulate(torch.optim.SGD([weight], 1.0), parts, 3)
    assert most == 1
    assert float(terms["loss"]) == pytest.approx(2 * 3)
    assert float(weight.detach()) == pytest.approx(1 - 2 * 3)


@pytest.mark.parametrize("setting", golden_curves.SETTINGS)
def test_the_layout_changes_no_number(setting: str) -> None:
    assert_equal(prepared(setting, channels_last=True), prepared(setting, channels_last=False), rel=1e-6)
    trained = prepared(setting, channels_last=True)
    kernels = [
        each for each in trained.networks["generator"].parameters() if each.dim() == 4 and each[0, 0].numel() > 1
    ]
    assert kernels
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels if each.shape[1] > 1)


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_gradients_are_cut_to_the_largest_norm(clip: float) -> None:
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 2))]
    gradients = [torch.tensor([3.0, 0.0, 4.0]), torch.full((2, 2), 6.0)]
    optimiser = torch.optim.SGD(weights, 1.0)
    optimiser.register_step_pre_hook(lambda *given: engine._before_update(clip, *given))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    optimiser.step()
    shrunk = min(1.0, clip / 13.0)  # 5 and 12 together are 13
    for weight, gradient in zip(weights, gradients, strict=True):
        assert torch.allclose(weight, -gradient * shrunk, rtol=1e-4)


def test_bfloat16_rounds_what_goes_into_a_convolution_and_what_comes_out() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1))
    image = torch.rand(1, 3, 6, 6)

    def rounded(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.bfloat16().double()

    def convolved(layer: Any, given: torch.Tensor) -> torch.Tensor:
        return rounded(torch.nn.functional.conv2d(rounded(given), rounded(layer.weight), rounded(layer.bias)))

    expected = convolved(network[2], convolved(network[0], image).relu())
    plain = network(image)
    network.forward = lambda given, forward=network.forward: engine._in_bfloat16(forward, "cpu", given)
    found = network(image)
    assert found.dtype == torch.float32
    # A sum that lies in the middle between two numbers may round either way: one unit in the last place, 2^-8.
    assert torch.allclose(found.double(), expected, rtol=2**-7, atol=1e-3)
    assert not torch.equal(found, plain)
    found.sum().backward()
    assert {weight.grad.dtype for weight in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("setting", golden_curves.SETTINGS)
def test_bfloat16_learns_nearly_the_same_and_leaves_penalties_in_float32(setting: str) -> None:
    trained = prepared(setting, precision="bfloat16")
    seen: dict[str, set[torch.dtype]] = {}

    def watch(name: str) -> Callable[..., None]:
        return lambda layer, given, found: seen.setdefault(name, set()).add(found.dtype)  # noqa: ARG005

    for module in trained.modules:
        name = next((name for name, each in trained.networks.items() if each is module), "perceptual")
        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(watch(name))
    found, expected = curve(trained, 1, torch.float32), curve(golden_curves.prepared(setting), 1)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=0.05, abs=1e-3), name
    for name, dtypes in seen.items():
        penalised = name == "critic" and "penalty" in expected
        assert dtypes == {torch.float32 if penalised else torch.bfloat16}, name
    for network in trained.networks.values():
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def test_the_running_mean_follows_its_definition() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    average = engine.EMA(network, 0.75)
    expected = {name: value.double().numpy().copy() for name, value in network.state_dict().items()}
    generator = np.random.default_rng(0)
    for step in range(40):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.copy_(torch.from_numpy(generator.standard_normal(value.shape)) if value.dim() else value + 1)
        average.update(step)
        decay = min(0.75, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            live = value.double().numpy()
            expected[name] = decay * expected[name] + (1 - decay) * live if value.is_floating_point() else live
    for name, value in average.weights.items():
        assert np.allclose(value.double().numpy(), expected[name], rtol=1e-5, atol=1e-6), name
    live = {name: value.clone() for name, value in network.state_dict().items()}
    average.swap()
    for name, value in network.state_dict().items():
        assert np.allclose(value.double().numpy(), expected[name], rtol=1e-5, atol=1e-6)
    average.swap()
    assert all(torch.equal(value, live[name]) for name, value in network.state_dict().items())


def test_a_compiler_that_fails_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(forward: Any, **options: Any) -> Any:  # noqa: ARG001
        def run(*arguments: Any) -> Any:  # noqa: ARG001
            raise RuntimeError("no compiler was found\nand much more")

        return run

    monkeypatch.setattr(torch, "compile", failing)
    with caplog.at_level(logging.WARNING):
        assert_equal(prepared("deepdeblur paper", compile=True), prepared("deepdeblur paper"))
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"torch.compile does not work here for the {name} (no compiler was found); training goes on without it, more "
        "slowly."
        for name in ("generator", "discriminator")
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own compiler warns of its own code
def test_compiled_networks_learn_the_same() -> None:
    assert_equal(prepared("deepdeblur release", compile=True), prepared("deepdeblur release"), rel=1e-6)


class NoWaiting(_python_dispatch.TorchDispatchMode):
    """Refuses what makes the host wait for a device: taking a number out of a tensor, or sizes that depend on one."""

    REFUSED = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "unique")

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._overloadpacket._qualified_op_name.removeprefix("aten::")
        assert name not in self.REFUSED, f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


@pytest.fixture
def started(make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> Callable[..., session.Session]:
    """A function that starts a golden setting's run with all that an engine section and augmentation can do."""
    path = make_pairs(tmp_path / "pairs.zarr")

    def start(setting: str, folder: str = "run", **sections: Any) -> session.Session:
        values: dict[str, Any] = {
            "name": "test",
            "data": {
                "train": ({"path": str(path)},), "batch": 2, "crop": 8, "flip_horizontal": True, "rotate": True,
                "permute_channels": True, "saturation": (0.5, 1.5), "noise": 2.0,
            },
            "method": golden_curves.SETTINGS[setting],
            "schedule": {"clock": "images", "constant": 12.0},
            "engine": {"precision": "bfloat16", "grad_clip_norm": 1.0, "ema_decay": 0.9},
            "validation": {"every": 8, "images": 2},
            "output": {"folder": str(tmp_path / folder), "log_every": 4, "checkpoint_every": 8, "sheet": 0},
        }  # fmt: skip
        for name, changes in sections.items():
            values[name] = values.get(name, {}) | changes
        wanted = recipe._build(values, "test")
        run_folder.create(wanted.folder, wanted)
        return session.start(wanted, CPU)

    return start


@pytest.mark.parametrize("setting", golden_curves.SETTINGS)
def test_nothing_in_a_step_waits_for_the_device(setting: str, started: Callable[..., session.Session]) -> None:
    run = started(setting)
    state = recorder.State()
    drawn = run.data.steps(0, run.pairs_per_step)
    for _ in range(2):
        some = next(drawn)
        with NoWaiting():
            loop._step(run, state, some)
    assert state.step == 2
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        float(torch.ones(()))


def log(run: session.Session) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.recipe.folder / "log.jsonl").read_text().splitlines()]


def test_the_mean_is_validated_kept_and_restored_with(
    started: Callable[..., session.Session], tmp_path: pathlib.Path
) -> None:
    runs = {
        averaged: started("deepdeblur paper", f"run-{averaged}", validation={"averaged": averaged})
        for averaged in (True, False)
    }
    for run in runs.values():
        loop.train(run, run.recipe.folder)
    scores = {averaged: [line["psnr"] for line in log(run) if "psnr" in line] for averaged, run in runs.items()}
    assert scores[True] != scores[False]
    last = tmp_path / "run-True" / checkpoint.LAST
    own = runs[True].method.networks["generator"].state_dict()
    mean = checkpoint.load_ema(last, own)
    image = torch.rand(1, 3, 8, 8)
    for averaged, weights in ((True, mean), (False, own)):
        network = restorer.load(last, CPU, averaged=averaged)
        found = network.networks["generator"].state_dict()
        assert all(torch.equal(found[name], value) for name, value in weights.items())
        assert network.restore(image).shape == image.shape
    # A run that validated without the mean restores without it.
    there = restorer.load(tmp_path / "run-False" / checkpoint.LAST, CPU).networks["generator"].state_dict()
    own = runs[False].method.networks["generator"].state_dict()
    assert all(torch.equal(there[name], value) for name, value in own.items())


def limits(**section: Any) -> recipe.Divergence:
    return recipe.Divergence(**({"after": 0} | section))


def test_a_critic_that_runs_away_stops_and_names_its_loss(tmp_path: pathlib.Path) -> None:
    checks = divergence.Checks(limits(critic=1e3), tmp_path)
    checks.losses({"critic": -999.0, "penalty": 10.0, "content": 1e9})
    with pytest.raises(
        divergence.TrainingDivergedError, match=r'critic ran away: the loss "penalty" is 2e\+03.*checkpoint'
    ):
        checks.losses({"critic": 0.1, "penalty": 2e3})
    divergence.Checks(limits(critic=0.0), tmp_path).losses({"critic": 1e30})
    with pytest.raises(divergence.TrainingDivergedError, match='"content" became inf'):
        checks.losses({"content": math.inf})


def test_a_run_whose_critic_runs_away_stops(started: Callable[..., session.Session]) -> None:
    run = started("deblurgan paper", divergence={"critic": 1e-9})
    with pytest.raises(
        divergence.TrainingDivergedError,
        match=r'critic ran away: the loss "\w+" is .*, beyond divergence\.critic = 1e-09, before the first checkpoint',
    ):
        loop.train(run, run.recipe.folder)


def test_a_constant_image_stops_with_the_last_good_checkpoint(started: Callable[..., session.Session]) -> None:
    run = started(
        "deepdeblur paper", divergence={"after": 12}, schedule={"constant": 24.0}, output={"checkpoint_every": 8}
    )
    step, made = run.method.step, iter(range(1, 100))

    def collapsing(batches: Any) -> dict[str, torch.Tensor]:
        found = step(batches)
        if next(made) > 4:
            with torch.no_grad():
                for weights in run.method.networks["generator"].parameters():
                    weights.zero_()
        return found

    run.method.step = collapsing  # type: ignore[method-assign]
    with pytest.raises(
        divergence.TrainingDivergedError,
        match=r'constant \(standard deviation 0, .*losses: .*"content" .*last good checkpoint, .* is at 8 images',
    ):
        loop.train(run, run.recipe.folder)


def test_a_fall_below_the_best_validation_stops(tmp_path: pathlib.Path) -> None:
    checks = divergence.Checks(limits(drop=3.0, after=100), tmp_path)
    for fine in ((20.0, None, 500), (20.0, 23.0, 500), (7.0, 26.0, 99)):
        checks.score(*fine)
    with pytest.raises(
        divergence.TrainingDivergedError, match=r"fell to 7.00 dB from 26.00 dB, more than divergence.drop = 3 dB"
    ):
        checks.score(7.0, 26.0, 100)


@pytest.fixture(autouse=True)
def quiet_default() -> Iterator[None]:
    """The default dtype is no test's to change."""
    assert torch.get_default_dtype() == torch.float32
    yield
    assert torch.get_default_dtype() == torch.float32
