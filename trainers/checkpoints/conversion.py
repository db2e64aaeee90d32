"""Convert weights that other projects publish: recognise the layout, rename layers, add a recipe.

Known layouts: DeblurGAN's `latest_net_G.pth` (Kupyn et al.), with one or two convolutions a block, and
DeepDeblur-PyTorch's `model-1000.pt` (Nah et al.). Files are read without executing anything in them.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from blursynth import errors
from blursynth.config import toml
from blursynth.media import source_file
from trainers import methods, recipe
from trainers.checkpoints import checkpoint
from trainers.methods import method
from trainers.networks import weight_files

_DIGITS, _MOST = 6, 1000  # of the number of a layer in a name
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")

State = Mapping[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A recognised layout of a state dict.

    `recipe` is the shipped recipe of its code, `changes` what makes that recipe build the same network, `layers` the
    name there of each layer of our generator.
    """

    words: str
    recipe: str
    changes: tuple[str, ...]
    layers: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Converted:
    """A restoring network with the file's weights, and the recipe and words for its checkpoint."""

    recipe: recipe.Recipe
    network: method.Method
    provenance: dict[str, str]


def convert(path: pathlib.Path, changes: Sequence[str] = (), dropout: bool | None = None) -> Converted:
    """Convert the network in a published file.

    Parameters
    ----------
    changes
        "key.path=value", for what no file tells, such as method.peak for a DeepDeblur with another rgb_range than 255.
    dropout
        Whether a DeblurGAN was built with dropout, for files that do not tell.

    Raises
    ------
    InputError
        The file cannot be read, is of no known layout, or has missing, extra or differently shaped tensors; or
        `dropout` is missing or contradicts the file.
    """
    state = _state(weight_files.read(path), path)
    layout = recognise(state, path, dropout)
    converted = recipe.load(layout.recipe, [*layout.changes, *changes])
    _require_as_found(converted, recipe.load(layout.recipe, layout.changes), layout, path)
    kind = methods.find(converted.method_name)
    config = kind.for_restoring(converted.method)
    with torch.device("meta"):
        empty = kind(config, torch.device("meta"))
    weights = _fitted(empty.networks["generator"], state, layout, path)
    network = kind(config, torch.device("cpu"))
    network.networks["generator"].load_state_dict(weights)
    digest, _ = source_file.digest(path)
    provenance = dict(network.provenance) | {"converted from": f"{path.name} (sha256 {digest[:8]}): {layout.words}"}
    return Converted(converted, network, provenance)


def _require_as_found(converted: recipe.Recipe, recognised: recipe.Recipe, layout: Layout, path: pathlib.Path) -> None:
    """Raise InputError where changes contradict the file, or what was said of its dropout.

    The rate of a dropout is in no file; whether there is one decides the layers.
    """
    for name, same in (("convolutions", int), ("activation", bool), ("dropout", bool)):
        ours, theirs = (getattr(each.method, name, 0) for each in (converted, recognised))
        if same(ours) != same(theirs):
            raise errors.InputError(
                f"{path} is {layout.words}, whose method.{name} is {theirs!r}, and --set says {ours!r}; leave that out."
            )


def save(converted: Converted, out: pathlib.Path) -> None:
    """Write a checkpoint for `trainers.deblur`, which says that nothing was trained here."""
    about = checkpoint.About(
        recipe=toml.to_toml(converted.recipe),
        method=converted.recipe.method_name,
        variant=str(converted.recipe.method.model_dump()["variant"]),
        step=0,
        images_seen=0,
        datasets=[],
        provenance=converted.provenance,
        metrics={},
        progress={},
    )
    checkpoint.save(out, about, converted.network)


def recognise(state: State, path: pathlib.Path, dropout: bool | None = None) -> Layout:
    """Recognise a state dict's layout; InputError for an unknown one, or a wrong `dropout`."""
    layout = _deblurgan(state, path, dropout)
    if layout is not None:
        return layout
    layout = _deepdeblur(state)
    if layout is not None:
        if dropout is not None:
            raise errors.InputError(
                f"{path} is {layout.words}, which has no dropout; leave --dropout and --no-dropout out."
            )
        return layout
    names = ", ".join(sorted(state)[:3]) or "none"
    raise errors.InputError(
        f"{path} is of no known layout (its first tensors: {names}); expected DeblurGAN's latest_net_G.pth or "
        "DeepDeblur-PyTorch's model-N.pt, the generator's weights."
    )


def _deblurgan(state: State, path: pathlib.Path, dropout: bool | None) -> Layout | None:
    """Recognise DeblurGAN: a numbered sequence of 7x7, two down, blocks "conv_block", two up, 7x7.

    Paddings and norms are counted in the numbers. The norms' running statistics are left out: the public code never
    calls eval(), so that it never uses them. A second convolution is numbered 6 after a dropout layer and 5 where there
    is none. With one convolution nothing in the file tells, and two networks share it: with dropout the block has a
    ReLU, without dropout (`--no_dropout`) an operator's precedence leaves out the ReLU, too.
    """
    blocks = len({name.split(".")[1] for name in state if re.match(r"model\.\d+\.conv_block\.", name)})
    first = state.get("model.1.weight")
    if not blocks or first is None or not first.dim():
        return None
    layers = {"head.0": "model.1", "down.0": "model.4", "down.3": "model.7"}
    second = next((place for place in (5, 6) if f"model.10.conv_block.{place}.weight" in state), None)
    for block in range(blocks):
        theirs = f"model.{10 + block}.conv_block"
        layers[f"blocks.{block}.residual.0"] = f"{theirs}.1"
        if second is not None:
            layers[f"blocks.{block}.residual.{second - 2}"] = f"{theirs}.{second}"
    layers |= {"up.0": f"model.{10 + blocks}", "up.3": f"model.{13 + blocks}", "tail.0": f"model.{17 + blocks}"}
    convolutions = 1 if second is None else 2
    dropout = _was_dropout(second, path, dropout)
    changes = [f"method.convolutions={convolutions}", f"method.blocks={blocks}", f"method.width={len(first)}"]
    if not dropout:
        changes += ["method.dropout=0.0", "method.test_time_dropout=false"]
        changes += ["method.activation=false"] if second is None else []
    words = f"DeblurGAN's public layout, {convolutions} convolution{'s' if second else ''} a block, "
    words += "with dropout" if dropout else "without dropout"
    if any(name.endswith("running_mean") for name in state):
        words += ", running statistics left out"
    return Layout(words, "deblurgan-release", tuple(changes), layers)


def _was_dropout(second: int | None, path: pathlib.Path, said: bool | None) -> bool:
    """Return whether there was dropout: by the second convolution's number, else as said."""
    if second is None:
        if said is None:
            raise errors.InputError(
                f"{path} is a DeblurGAN with one convolution a block. The public code builds two kinds with the "
                "same weights: give --dropout if it was trained with dropout (the code's default), or --no-dropout if "
                "with the code's option --no_dropout, whose blocks have no ReLU."
            )
        return said
    has_dropout = second == 6
    if said is not None and said != has_dropout:
        raise errors.InputError(
            f"{path} is a DeblurGAN {'with' if has_dropout else 'without'} dropout: the second convolution of its "
            f"blocks is number {second}. Leave --{'no-dropout' if has_dropout else 'dropout'} out."
        )
    return has_dropout


def _deepdeblur(state: State) -> Layout | None:
    """Recognise DeepDeblur: bodies from the finest scale on, and upconvolutions from the second."""
    places = [match.groups() for name in state if (match := re.match(r"body_models\.(\d+)\.body\.(\d+)\.", name))]
    first = state.get("body_models.0.body.0.weight")
    numbers = [int(number) for place in places for number in place if len(number) <= _DIGITS]
    if first is None or not first.dim() or len(numbers) < 2 * len(places) or max(numbers, default=_MOST) >= _MOST:
        return None
    scales, last = 1 + max(numbers[::2]), max(numbers[1::2])
    layers: dict[str, str] = {}
    for scale in range(scales):
        ours, theirs = f"levels.{scale}", f"body_models.{scale}.body"
        layers |= {f"{ours}.{end}": f"{theirs}.{end}" for end in (0, last)}
        for block in range(1, last):
            layers |= {f"{ours}.{block}.residual.{place}": f"{theirs}.{block}.body.{place}" for place in (0, 2)}
    layers |= {f"up.{scale - 1}.0": f"conv_end_models.{scale}.uppath.0" for scale in range(1, scales)}
    changes = (f"method.scales={scales}", f"method.blocks={last - 1}", f"method.width={len(first)}")
    return Layout(f"DeepDeblur-PyTorch's layout, K = {scales}", "deepdeblur-release", changes, layers)


def _state(content: Mapping[str, Any], path: pathlib.Path) -> State:
    """Return the generator's tensors: "G" of several networks, without a parallel wrapper's "module."."""
    inner = content.get("G", content)
    if not isinstance(inner, Mapping) or not all(isinstance(value, torch.Tensor) for value in inner.values()):
        raise errors.InputError(f"{path} holds no state dict of name -> tensor, nor one under the name G.")
    return {str(name).removeprefix("module."): value for name, value in inner.items()}


def _fitted(network: torch.nn.Module, state: State, layout: Layout, path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Rename weights and biases; InputError names the first that is missing, extra or misshapen."""
    theirs = {f"{ours}.{kind}": f"{name}.{kind}" for ours, name in layout.layers.items() for kind in ("weight", "bias")}
    renamed = {}
    for ours, expected in network.state_dict().items():
        name = theirs.get(ours, f"a place for our {ours}")
        tensor = state.get(name)
        if tensor is None or tensor.shape != expected.shape:
            what = "no" if tensor is None else f"shape {tuple(tensor.shape)} of"
            raise errors.InputError(
                f"{path} looks like {layout.words}, but has {what} {name}; expected {tuple(expected.shape)}."
            )
        renamed[ours] = weight_files.weight(path, name, tensor)
    left = sorted(name for name in state if name not in theirs.values() and name.split(".")[-1] not in _RUNNING)
    if left:
        raise errors.InputError(
            f"{path} looks like {layout.words}, but has {len(left)} tensors that it should not have, the first being "
            f"{left[0]}: its network has other layers (batch norm, for example), which cannot be converted."
        )
    return renamed
