"""Checkpoints: all that was saved comes back; anything else is refused in a sentence, and nothing is executed."""

import os
import pathlib
import pickle
from typing import Any

import pytest
import safetensors.torch
import torch

from blursynth import errors
from blursynth.media import atomic_file
from trainers.checkpoints import checkpoint
from trainers.methods import method

ABOUT = checkpoint.About(
    "recipe text",
    "fake",
    "paper",
    5,
    20,
    [{"path": "p", "fingerprint": "f", "transfer_function": "srgb"}],
    {"w": "none"},
    {"psnr": 1.5},
    {"best": None},
)


def trained(kind: type[Any], steps: int = 3, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    made = kind(kind.Config(), torch.device("cpu"))
    for _ in range(steps):
        made.step([method.Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)) for _ in range(2)])
    return made


def same(left: Any, right: Any) -> bool:
    states = [
        {f"{name}.{key}": value for name, net in each.networks.items() for key, value in net.state_dict().items()}
        for each in (left, right)
    ]
    moments = [[o.state_dict()["state"] for o in each.optimisers.values()] for each in (left, right)]
    weights = all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    return weights and all(
        torch.equal(one[index][key], other[index][key])
        for one, other in zip(*moments, strict=True)
        for index in one.keys() | other.keys()
        for key in one[index]
    )


def test_everything_comes_back(fake_method: type[Any], tmp_path: pathlib.Path) -> None:
    saved, fresh = trained(fake_method), trained(fake_method, steps=0, seed=1)
    sums = {"content/odd name": torch.tensor(0.1, dtype=torch.float64)}
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ABOUT, saved, sums)
    assert not same(saved, fresh)
    assert checkpoint.load_training_state(path, fresh) == sums
    assert same(saved, fresh)
    torch.manual_seed(7)
    batches = [method.Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)) for _ in range(2)]
    for each in (saved, fresh):
        torch.manual_seed(8)
        each.step(batches)
    assert same(saved, fresh)
    assert checkpoint.about(path) == ABOUT
    assert list(tmp_path.iterdir()) == [path]


def test_moments_keep_the_memory_layout_of_their_weights(fake_method: type[Any], tmp_path: pathlib.Path) -> None:
    saved = trained(fake_method)
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ABOUT, saved, {})
    fresh = trained(fake_method, steps=0)
    for network in fresh.networks.values():
        network.to(memory_format=torch.channels_last)
    checkpoint.load_training_state(path, fresh)
    convolution = fresh.networks["generator"][0].weight
    assert fresh.optimisers["generator"].state[convolution]["exp_avg"].stride() == convolution.stride()
    assert same(saved, fresh)


def test_weights_alone_for_handing_over(fake_method: type[Any], tmp_path: pathlib.Path) -> None:
    saved, fresh = trained(fake_method), trained(fake_method, steps=0, seed=1)
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, ABOUT, saved)
    names = safetensors.torch.load_file(path).keys()
    assert {name.split(".")[0] for name in names} == {"generator", "critic"}
    checkpoint.load_weights(path, {"generator": fresh.networks["generator"]})
    assert torch.equal(fresh.networks["generator"][0].weight, saved.networks["generator"][0].weight)
    assert not torch.equal(fresh.networks["critic"][0].weight, saved.networks["critic"][0].weight)


def test_a_folder_means_its_best_else_its_last(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="has no checkpoint"):
        checkpoint.find(tmp_path)
    (tmp_path / "last.safetensors").touch()
    assert checkpoint.find(tmp_path).name == "last.safetensors"
    (tmp_path / "best.safetensors").touch()
    assert checkpoint.find(tmp_path).name == "best.safetensors"
    assert checkpoint.find(tmp_path / "other").name == "other"


class Trap:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, mark: pathlib.Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.mark,)


def test_a_pickle_is_refused_and_never_executed(tmp_path: pathlib.Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "model.pth"
    torch.save({"model": Trap(mark)}, path)
    plain = tmp_path / "model.pkl"
    plain.write_bytes(pickle.dumps(Trap(mark)))
    for file in (path, plain):
        with pytest.raises(errors.InputError, match="is not a checkpoint"):
            checkpoint.about(file)
        with pytest.raises(errors.InputError, match="is not a checkpoint"):
            checkpoint.load_weights(file, {})
    assert not mark.exists()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_cut_short(fake_method: type[Any], tmp_path: pathlib.Path, kept: float) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ABOUT, trained(fake_method), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(errors.InputError, match="cut short"):
        checkpoint.about(path)


def test_empty_or_missing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(errors.InputError, match="is not a checkpoint"):
        checkpoint.about(tmp_path / "empty.safetensors")
    with pytest.raises(errors.SourceError, match="missing"):
        checkpoint.about(tmp_path / "missing.safetensors")


def test_another_programs_safetensors(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(errors.InputError, match=r"not a checkpoint written by trainers\.run"):
        checkpoint.about(path)


def test_newer_format_names_the_version_to_install(
    fake_method: type[Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    with monkeypatch.context() as later:
        later.setattr(checkpoint, "FORMAT_VERSION", 2)
        later.setattr(checkpoint.blursynth, "__version__", "9.8.7")
        checkpoint.save(
            path, ABOUT.__class__(**{**vars(ABOUT), "versions": {"blursynth": "9.8.7"}}), trained(fake_method)
        )
    with pytest.raises(errors.InputError, match=r"format 2, .* 9\.8\.7"):
        checkpoint.about(path)


def test_weights_of_another_network_name_the_first_difference(fake_method: type[Any], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ABOUT, trained(fake_method))
    wider = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3))
    before = wider[0].weight.clone()
    with pytest.raises(errors.InputError, match=r"does not fit the generator .* 0\.bias, 4 in the file and 5 here"):
        checkpoint.load_weights(path, {"generator": wider})
    assert torch.equal(wider[0].weight, before)


def test_a_failed_write_leaves_the_old_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    atomic_file.replace(path, b"old")

    def full(descriptor: int) -> None:  # noqa: ARG001
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*last\.safetensors"):
        atomic_file.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
