"""Published layouts -> checkpoints: state dicts of the documented shapes, and what their networks compute, restated."""

import pathlib
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skimage import transform
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.media import photos
from trainers import command_line, convert, deblur, recipe
from trainers.checkpoints import checkpoint, conversion
from trainers.inference import restorer
from trainers.networks import layers as networks

State = OrderedDict[str, torch.Tensor]
CPU = torch.device("cpu")


def convolution(state: State, name: str, inputs: int, outputs: int, kernel: int, transposed: bool = False) -> None:
    shape = (inputs, outputs) if transposed else (outputs, inputs)
    deviation = (2.0 / (inputs * kernel * kernel)) ** 0.5
    state[f"{name}.weight"] = torch.randn(*shape, kernel, kernel) * deviation
    state[f"{name}.bias"] = torch.randn(outputs) * 0.1


def deblurgan_state(convolutions: int, width: int, blocks: int, running: bool = True, dropout: bool = True) -> State:
    """The public generator's names, in its order: torch's numbers in one sequence, norms that have only statistics."""
    torch.manual_seed(0)
    state: State = OrderedDict()

    def norm(name: str, channels: int) -> None:
        if running:
            state[f"{name}.running_mean"] = torch.randn(channels)
            state[f"{name}.running_var"] = torch.rand(channels) + 5
            state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution(state, "model.1", 3, width, 7)
    norm("model.2", width)
    convolution(state, "model.4", width, 2 * width, 3)
    norm("model.5", 2 * width)
    convolution(state, "model.7", 2 * width, 4 * width, 3)
    norm("model.8", 4 * width)
    for block in range(10, 10 + blocks):
        places = (1, 6 if dropout else 5)
        for place in places[:convolutions]:
            convolution(state, f"model.{block}.conv_block.{place}", 4 * width, 4 * width, 3)
            norm(f"model.{block}.conv_block.{place + 1}", 4 * width)
    convolution(state, f"model.{10 + blocks}", 4 * width, 2 * width, 3, transposed=True)
    norm(f"model.{11 + blocks}", 2 * width)
    convolution(state, f"model.{13 + blocks}", 2 * width, width, 3, transposed=True)
    norm(f"model.{14 + blocks}", width)
    convolution(state, f"model.{17 + blocks}", width, 3, 7)
    return state


def deblurgan_forward(state: State, image: torch.Tensor) -> torch.Tensor:
    """The layer list of the public generator from its own names; per-image statistics, no dropout; [-1, 1]."""
    named = {name: value.to(image.dtype) for name, value in state.items()}

    def layer(x: torch.Tensor, name: str, reflect: int = 0, **options: int) -> torch.Tensor:
        if reflect:
            x = functional.pad(x, (reflect,) * 4, mode="reflect")
        return functional.conv2d(x, named[f"{name}.weight"], named[f"{name}.bias"], **options)

    def up(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = named[f"{name}.weight"], named[f"{name}.bias"]
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)

    norm = functional.instance_norm
    blocks = sorted({int(name.split(".")[1]) for name in state if "conv_block" in name})
    x = torch.relu(norm(layer(image, "model.1", reflect=3)))
    x = torch.relu(norm(layer(x, "model.4", stride=2, padding=1)))
    x = torch.relu(norm(layer(x, "model.7", stride=2, padding=1)))
    for block in blocks:
        y = torch.relu(norm(layer(x, f"model.{block}.conv_block.1", reflect=1)))
        for second in (5, 6):
            if f"model.{block}.conv_block.{second}.weight" in state:
                y = norm(layer(y, f"model.{block}.conv_block.{second}", reflect=1))
        x = x + y
    after = blocks[-1] + 1
    x = torch.relu(norm(up(x, f"model.{after}")))
    x = torch.relu(norm(up(x, f"model.{after + 3}")))
    return (image + torch.tanh(layer(x, f"model.{after + 7}", reflect=3))).clamp(-1, 1)


def deepdeblur_state(scales: int, width: int, blocks: int) -> State:
    """DeepDeblur-PyTorch's names: bodies from the finest scale on, ways up from the second on."""
    torch.manual_seed(1)
    state: State = OrderedDict()
    for scale in range(scales):
        body = f"body_models.{scale}.body"
        convolution(state, f"{body}.0", 3 if scale == scales - 1 else 6, width, 5)
        for block in range(1, blocks + 1):
            for place in (0, 2):
                convolution(state, f"{body}.{block}.body.{place}", width, width, 5)
        convolution(state, f"{body}.{blocks + 1}", width, 3, 5)
    for scale in range(1, scales):
        convolution(state, f"conv_end_models.{scale}.uppath.0", 3, 12, 5)
    return state


def deepdeblur_forward(state: State, image: np.ndarray[Any, np.dtype[np.float64]], scales: int) -> torch.Tensor:
    """The public network's finest result for an (H, W, 3) image of 0 to 255, in float64."""
    named = {name: value.double() for name, value in state.items()}

    def layer(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.conv2d(functional.pad(x, (2, 2, 2, 2)), named[f"{name}.weight"], named[f"{name}.bias"])

    levels = list(transform.pyramid_gaussian(image, scales - 1, channel_axis=2))
    pyramid = [torch.from_numpy(level).permute(2, 0, 1)[None] - 127.5 for level in levels]
    x, restored = pyramid[-1], torch.zeros(())
    for scale in reversed(range(scales)):
        body = f"body_models.{scale}.body"
        last = max(int(name.split(".")[3]) for name in state if name.startswith(body))
        x = layer(x, f"{body}.0")
        for block in range(1, last):
            x = x + layer(torch.relu(layer(x, f"{body}.{block}.body.0")), f"{body}.{block}.body.2")
        restored = layer(x, f"{body}.{last}")
        if scale:
            wider = functional.pixel_shuffle(layer(restored, f"conv_end_models.{scale}.uppath.0"), 2)
            x = torch.cat([pyramid[scale - 1], wider], dim=1)
    return restored + 127.5


def saved(state: Any, path: pathlib.Path, old: bool = False) -> pathlib.Path:
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    return path


# DeblurGAN


@pytest.mark.parametrize(("convolutions", "parameters"), [(1, 6_067_459), (2, 11_378_179)])
def test_release_deblurgan_equals_its_layer_list(convolutions: int, parameters: int, tmp_path: pathlib.Path) -> None:
    state = deblurgan_state(convolutions, width=64, blocks=9)
    weights = [value for name, value in state.items() if name.split(".")[-1] in ("weight", "bias")]
    assert sum(value.numel() for value in weights) == parameters
    file = saved(state, tmp_path / "latest_net_G.pth")
    found = conversion.convert(file, ["method.test_time_dropout=false"], True if convolutions == 1 else None)
    network = found.network.networks["generator"].eval()
    assert networks.size(network) == networks.Size(6 + 9 * convolutions, parameters)
    image = torch.rand(1, 3, 48, 64) * 2 - 1
    with torch.no_grad():
        expected = deblurgan_forward(state, image.double())
        restored = found.network.restore(image / 2 + 0.5).double()
        torch.testing.assert_close(network.double()(image.double()), expected, rtol=0, atol=1e-9)
    # Rounding of float32 through all layers depends on the processor: 1.2e-5 was seen in the network's range of 2.
    torch.testing.assert_close(restored, expected / 2 + 0.5, rtol=0, atol=3e-5)
    assert (expected - image).abs().mean() > 0.1


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(("convolutions", "dropout"), [(1, True), (2, True), (2, False)])
def test_each_public_layout_becomes_a_checkpoint_that_restores(
    convolutions: int, dropout: bool, running: bool, tmp_path: pathlib.Path
) -> None:
    state = deblurgan_state(convolutions, 4, 3, running, dropout)
    file = saved(state, tmp_path / "latest_net_G.pth", old=True)
    told = dropout if convolutions == 1 else None
    conversion.save(conversion.convert(file, dropout=told), tmp_path / "made.safetensors")
    about = checkpoint.about(tmp_path / "made.safetensors")
    assert (about.method, about.variant, about.step, about.images_seen) == ("deblurgan", "release", 0, 0)
    words = about.provenance["converted from"]
    assert words.startswith("latest_net_G.pth (sha256 ")
    assert ("running statistics left out" in words) == running
    network = restorer.load(tmp_path / "made.safetensors", CPU, dropout=False)
    image = torch.rand(1, 3, 16, 12)
    expected = deblurgan_forward(state, image * 2 - 1) / 2 + 0.5
    torch.testing.assert_close(network.restore(image), expected, rtol=0, atol=1e-5)
    on = restorer.load(tmp_path / "made.safetensors", CPU)
    assert torch.equal(on.restore(image), on.restore(image)) == (not dropout)


def public_generator(width: int, blocks: int, dropout: bool) -> nn.Sequential:
    """The layers that the public code builds today, one convolution a block, as torch's modules; without the skip.

    "A + B if dropout else C + D" takes everything before `if` together: with dropout a block is padding, convolution,
    norm, ReLU, dropout, and without it is padding, convolution, norm.
    """

    class Block(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            layers = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels)]
            layers += [nn.ReLU(), nn.Dropout(0.5)] if dropout else []
            self.conv_block = nn.Sequential(*layers)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.conv_block(x)

    def norm(channels: int) -> nn.Module:
        return nn.InstanceNorm2d(channels, affine=False, track_running_stats=True)

    def normed(layer: nn.Module, channels: int) -> list[nn.Module]:
        return [layer, norm(channels), nn.ReLU()]

    wide = 4 * width
    layers = [nn.ReflectionPad2d(3), *normed(nn.Conv2d(3, width, 7), width)]
    layers += normed(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width)
    layers += normed(nn.Conv2d(2 * width, wide, 3, 2, 1), wide)
    layers += [Block(wide) for _ in range(blocks)]
    layers += normed(nn.ConvTranspose2d(wide, 2 * width, 3, 2, 1, 1), 2 * width)
    layers += normed(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), width)
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


@pytest.mark.parametrize("dropout", [True, False])
def test_one_convolution_a_block_is_the_network_that_the_public_code_builds(
    dropout: bool, tmp_path: pathlib.Path
) -> None:
    torch.manual_seed(3)
    theirs = public_generator(6, 3, dropout)
    file = saved({f"model.{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "net_G.pth")
    for layer in theirs.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()  # norms stay as they train, which is how the public code restores
    image = torch.rand(2, 3, 24, 20) * 2 - 1
    with torch.no_grad():
        expected = (image + theirs(image)).clamp(-1, 1)
        found = conversion.convert(file, dropout=dropout).network.networks["generator"].eval()(image)
        other = conversion.convert(file, dropout=not dropout).network.networks["generator"].eval()(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (other - expected).abs().max() > 0.1


def test_a_file_that_does_not_tell_of_its_dropout_is_asked_about(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"{name}.pth" for name in ("one", "two", "two-without", "deepdeblur")}
    saved(deblurgan_state(1, 4, 2), files["one"])
    saved(deblurgan_state(2, 4, 2), files["two"])
    saved(deblurgan_state(2, 4, 2, dropout=False), files["two-without"])
    saved(deepdeblur_state(1, 4, 1), files["deepdeblur"])
    refused = [("one", ()), ("two", ("--no-dropout",)), ("two-without", ("--dropout",)), ("deepdeblur", ("--dropout",))]
    for number, (name, options) in enumerate(refused):
        out = tmp_path / f"refused-{number}.safetensors"
        assert command_line.exit_code(convert.main, [str(files[name]), "-o", str(out), *options]) == 2
        assert "dropout" in capsys.readouterr().err
        assert not out.exists()
    done = [("one", "--dropout"), ("one", "--no-dropout"), ("two", "--dropout"), ("two-without", "--no-dropout")]
    for number, (name, option) in enumerate(done):
        out = tmp_path / f"made-{number}.safetensors"
        assert command_line.exit_code(convert.main, [str(files[name]), "-o", str(out), option]) == 0
        about = checkpoint.about(out)
        settings = recipe.parse(about.recipe).method.model_dump()
        assert settings["dropout"] == (0.5 if option == "--dropout" else 0.0)
        assert settings["activation"] == ((name, option) != ("one", "--no-dropout"))


@pytest.mark.parametrize(
    ("convolutions", "there", "said", "change"),
    [
        (1, True, False, "method.activation=true"),
        (1, True, True, "method.activation=false"),
        (1, True, True, "method.dropout=0.0"),
        (1, True, False, "method.dropout=0.5"),
        (2, True, None, "method.dropout=0.0"),
        (2, False, None, "method.dropout=0.5"),
        (2, True, None, "method.convolutions=1"),
    ],
)
def test_settings_that_contradict_what_was_found(
    convolutions: int, there: bool, said: bool | None, change: str, tmp_path: pathlib.Path
) -> None:
    file = saved(deblurgan_state(convolutions, 4, 2, dropout=there), tmp_path / "net_G.pth")
    with pytest.raises(errors.InputError, match=change.partition("=")[0]):
        conversion.convert(file, [change], said)


def test_a_rate_of_dropout_may_be_said(tmp_path: pathlib.Path) -> None:
    file = saved(deblurgan_state(2, 4, 2), tmp_path / "net_G.pth")
    assert conversion.convert(file, ["method.dropout=0.25"]).recipe.method.model_dump()["dropout"] == 0.25


def test_a_converted_network_is_described_without_losses(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(deblurgan_state(2, 4, 2), tmp_path / "latest_net_G.pth")
    assert command_line.exit_code(convert.main, [str(file), "-o", str(tmp_path / "made.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "generator: 10 convolutions" in said
    assert " x pixel" not in said


# DeepDeblur


@pytest.mark.parametrize(("scales", "parameters"), [(1, 3_903_299), (2, 7_812_310), (3, 11_721_321)])
def test_deepdeblurs_state_dict_fits(scales: int, parameters: int, tmp_path: pathlib.Path) -> None:
    state = deepdeblur_state(scales, 64, 19)
    assert sum(value.numel() for value in state.values()) == parameters
    found = conversion.convert(saved({"G": state}, tmp_path / "model-1000.pt"))
    assert networks.size(found.network.networks["generator"]).parameters == parameters
    assert found.provenance["converted from"].endswith(f"DeepDeblur-PyTorch's layout, K = {scales}")


@pytest.mark.parametrize("wrapped", ["G", "G and D", "bare", "parallel"])
@pytest.mark.parametrize("scales", [1, 2, 3])
def test_deepdeblur_restores_as_the_public_code_does(scales: int, wrapped: str, tmp_path: pathlib.Path) -> None:
    state = deepdeblur_state(scales, 5, 2)
    critic = {"dense.weight": torch.zeros(1)}
    contents: dict[str, Any] = {"G": {"G": state}, "G and D": {"G": state, "D": critic}, "bare": state}
    contents["parallel"] = {f"module.{name}": value for name, value in state.items()}
    conversion.save(conversion.convert(saved(contents[wrapped], tmp_path / "m.pt")), tmp_path / "made.safetensors")
    network = restorer.load(tmp_path / "made.safetensors", CPU)
    image = np.random.default_rng(0).random((16, 24, 3)) * 255
    expected = deepdeblur_forward(state, image, scales).clamp(0, 255) / 255
    restored = network.restore(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(restored.double(), expected, rtol=0, atol=1e-5)


def test_another_range_is_a_setting(tmp_path: pathlib.Path) -> None:
    file = saved(deepdeblur_state(1, 4, 1), tmp_path / "m.pt")
    found = conversion.convert(file, ["method.peak=1.0"])
    assert found.recipe.method.model_dump()["peak"] == 1


# What cannot be converted


def changed(change: Callable[[State], object]) -> State:
    state = deblurgan_state(2, 4, 2)
    change(state)
    return state


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a.weight": torch.zeros(1)}, r"no known layout \(its first tensors: a\.weight\)"),
        ({}, "no known layout"),
        ({"G": 3}, "no state dict of name -> tensor"),
        ({"epoch": 3, "a": torch.zeros(1)}, "no state dict of name -> tensor"),
        ([torch.zeros(1)], "holds a list"),
        (changed(lambda state: state.pop("model.11.conv_block.6.bias")), r"has no model\.11\.conv_block\.6\.bias"),
        (
            changed(lambda state: state.update({"model.4.weight": torch.zeros(1, 2, 3, 3)})),
            r"shape \(1, 2, 3, 3\) of model\.4\.weight; expected \(8, 4, 3, 3\)",
        ),
        (changed(lambda state: state.update({"model.2.weight": torch.zeros(4)})), "1 tensors that it should not have"),
    ],
)
def test_another_file_is_one_sentence(
    content: object, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(content, tmp_path / "some.pth")
    assert command_line.exit_code(convert.main, [str(file), "-o", str(tmp_path / "out.safetensors")]) == 2
    said = capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
    assert "Traceback" not in said
    assert re.search(words, said)


class Spy:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def test_nothing_in_a_file_is_executed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved({"model.1.weight": Spy(str(tmp_path / "executed"))}, tmp_path / "bad.pth")
    assert command_line.exit_code(convert.main, [str(file), "-o", str(tmp_path / "out.safetensors")]) == 2
    assert "cannot be read as a file of weights" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


# The command


def test_a_photo_goes_all_the_way(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, made = saved(deblurgan_state(2, 4, 2), tmp_path / "latest_net_G.pth"), tmp_path / "made.safetensors"
    photo = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)
    photos.write_png(tmp_path / "photo.png", photo)
    arguments = [str(file), "-o", str(made), "--set", "method.test_time_dropout=false"]
    assert command_line.exit_code(convert.main, arguments) == 0
    assert "DeblurGAN's public layout, 2 convolutions a block" in capsys.readouterr().out
    assert command_line.exit_code(convert.main, arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert command_line.exit_code(convert.main, [*arguments, "--overwrite"]) == 0
    assert (
        command_line.exit_code(deblur.main, [str(made), str(tmp_path / "photo.png"), "-o", str(tmp_path / "out")]) == 0
    )
    assert photos.read(tmp_path / "out" / "photo.png").shape == (13, 9, 3)


def test_a_file_that_is_not_there(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.exit_code(convert.main, [str(tmp_path / "none.pth"), "-o", str(tmp_path / "out")]) == 2
    assert "none.pth" in capsys.readouterr().err
