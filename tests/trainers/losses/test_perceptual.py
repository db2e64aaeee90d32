import hashlib
import pathlib

import numpy as np
import pytest
import torch
from torch import nn

from blursynth import errors
from blursynth.config import toml
from trainers.losses import perceptual

VGG19_SHAPES = {
    # torchvision's numbering, with pooling and ReLU counted: 0 1 2 3 pool4 5 6 7 8 pool9 10 11 12 13 14
    0: (64, 3),
    2: (64, 64),
    5: (128, 64),
    7: (128, 128),
    10: (256, 128),
    12: (256, 256),
    14: (256, 256),
}


def state(places: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """A state dict of torchvision's layout with random weights, and one key behind the tap."""
    generator = torch.Generator().manual_seed(1)
    tensors = {"classifier.6.bias": torch.zeros(3)}
    for place in places:
        outputs, inputs = VGG19_SHAPES[place]
        tensors[f"features.{place}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * 0.1
        tensors[f"features.{place}.bias"] = torch.randn(outputs, generator=generator)
    return tensors


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def written(path: pathlib.Path, tensors: object) -> pathlib.Path:
    torch.save(tensors, path)
    return path


def config(**values: object) -> perceptual.Config:
    return toml.build(values, perceptual.Config)


def from_file(path: pathlib.Path, **values: object) -> perceptual.Loaded:
    return perceptual.load(config(**{"weights": str(path), "sha256": digest(path)[:8], **values}))


def test_layers_up_to_the_tap_have_torchvisions_numbers_and_shapes() -> None:
    features = perceptual.load(config(weights="random")).features
    shapes = {
        int(name.split(".")[1]): tuple(parameter.shape[:2])
        for name, parameter in features.named_parameters()
        if name.endswith("weight")
    }
    assert shapes == VGG19_SHAPES
    kinds = [type(layer) for layer in features.features]
    assert kinds[14:] == [nn.Conv2d, nn.ReLU]
    before = perceptual.load(config(weights="random", after_activation=False)).features
    assert len(before.features) == 15
    sixteen = perceptual.load(config(weights="random", network="vgg16")).features
    assert [type(layer) for layer in sixteen.features] == kinds


def test_vgg16_and_vgg19_part_after_the_third_convolution_of_block_3() -> None:
    assert "conv3_4" in perceptual.taps("vgg19")
    assert "conv3_4" not in perceptual.taps("vgg16")
    assert len(perceptual.taps("vgg19")) == 16
    assert len(perceptual.taps("vgg16")) == 13


@pytest.mark.parametrize("after_activation", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
def test_features_equal_the_layers_written_out(tmp_path: pathlib.Path, after_activation: bool, normalise: bool) -> None:
    tensors = state((0, 2, 5))
    loaded = from_file(
        written(tmp_path / "vgg.pth", tensors), tap="conv2_1", after_activation=after_activation, normalise=normalise
    )
    image = torch.rand(1, 3, 9, 12) * 2 - 1
    x = image.double()
    if normalise:
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        x = torch.stack([((x[:, c] + 1) / 2 - mean[c]) / deviation[c] for c in range(3)], dim=1)
    for place in (0, 2):
        weight, bias = tensors[f"features.{place}.weight"], tensors[f"features.{place}.bias"]
        x = torch.relu(nn.functional.conv2d(x, weight.double(), bias.double(), padding=1))
    x = nn.functional.max_pool2d(x, 2)
    x = nn.functional.conv2d(x, tensors["features.5.weight"].double(), tensors["features.5.bias"].double(), padding=1)
    expected = torch.relu(x) if after_activation else x
    torch.testing.assert_close(loaded.features(image).double(), expected, rtol=1e-5, atol=1e-5)
    assert bool((expected < 0).any()) == (not after_activation)


def test_weights_stay_and_images_get_gradients() -> None:
    features = perceptual.load(config(weights="random", tap="conv1_2")).features
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    features(image).sum().backward()
    assert image.grad is not None
    assert image.grad.any()
    assert not features.training
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_the_name_of_the_weights_says_which(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "vgg19-mine.pth", state((0,)))
    assert from_file(path, tap="conv1_1").weights == f"vgg19-mine.pth (sha256 {digest(path)[:8]})"
    assert perceptual.load(config(weights="random", seed=7)).weights == "random (seed 7), not trained"


def test_random_weights_are_a_function_of_their_seed_alone() -> None:
    torch.manual_seed(0)
    first = perceptual.load(config(weights="random", tap="conv2_1")).features
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = perceptual.load(config(weights="random", tap="conv2_1")).features
    other = perceptual.load(config(weights="random", tap="conv2_1", seed=1)).features
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(first.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_random_features_keep_the_size_of_what_they_see() -> None:
    features = perceptual.load(config(weights="random", after_activation=False)).features
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values = features(image)
    assert 0.3 < values.std().item() < 10
    assert values.std(dim=(2, 3)).mean().item() > 0.1


@pytest.mark.parametrize("reduction", ["channel-sum", "mean"])
def test_distance_equals_its_formula(reduction: perceptual.Reduction) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 5, 3, 4)), rng.random((2, 5, 3, 4))
    total = 0.0
    for image in range(2):
        for row in range(3):
            for column in range(4):
                total += sum((x[image, c, row, column] - y[image, c, row, column]) ** 2 for c in range(5)) / (3 * 4)
    expected = total / 2 / (5 if reduction == "mean" else 1)
    found = perceptual.distance(torch.from_numpy(x), torch.from_numpy(y), reduction)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_missing_weights_say_which_file_whence_and_where(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    with pytest.raises(errors.InputError) as caught:
        perceptual.load(config())
    message = str(caught.value)
    assert f"there is no file {expected}" in message
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in message
    assert "perceptual.weights" in message


def test_another_file_is_refused(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "vgg16-397923af.pth", state((0,)))
    with pytest.raises(errors.InputError, match=f"begins with {digest(path)[:8]}, expected 397923af"):
        perceptual.load(config(network="vgg16", weights=str(path)))


def test_the_cache_is_used_where_the_file_is_there(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = perceptual.hub_path("vgg19")
    path.parent.mkdir(parents=True)
    written(path, state((0,)))
    loaded = perceptual.load(config(tap="conv1_1", sha256=digest(path)))
    assert torch.equal(next(loaded.features.parameters()), state((0,))["features.0.weight"])


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_a_truncated_file_is_refused(tmp_path: pathlib.Path, length: int) -> None:
    path = written(tmp_path / "vgg.pth", state((0,)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(errors.InputError, match=r"vgg\.pth cannot be read as a file of weights: .*Fetch it again"):
        from_file(path, tap="conv1_1")


class Executable:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pathlib.Path.touch, (pathlib.Path("executed"),)  # type: ignore[return-value]


def test_nothing_in_a_file_is_executed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "vgg.pth", Executable())
    with pytest.raises(errors.InputError, match="cannot be read"):
        from_file(path)
    assert not (tmp_path / "executed").exists()


def test_a_file_of_another_layout_names_what_does_not_fit(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "vgg.pth", state((0, 2)))
    with pytest.raises(errors.InputError, match=r"has no features\.5\.weight, expected shape \(128, 64, 3, 3\)"):
        from_file(path, tap="conv2_1")
    wrong = state((0,)) | {"features.0.weight": torch.zeros(64, 1, 3, 3)}
    path = written(tmp_path / "grey.pth", wrong)
    with pytest.raises(errors.InputError, match=r"a features\.0\.weight of shape \(64, 1, 3, 3\), expected shape"):
        from_file(path, tap="conv1_1")
    path = written(tmp_path / "list.pth", [torch.zeros(2)])
    with pytest.raises(errors.InputError, match="holds a list, expected a state dict"):
        from_file(path, tap="conv1_1")


def test_a_folder_is_not_a_file_of_weights(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="is a folder"):
        perceptual.load(config(weights=str(tmp_path)))


def test_an_unknown_tap_is_an_error() -> None:
    with pytest.raises(errors.RecipeError, match=r"'conv3_4' is none of vgg16's convolutions: conv1_1, .*conv5_3"):
        config(network="vgg16", tap="conv3_4")
