"""`python -m trainers.export CHECKPOINT -o FILE`: a trained network as ONNX, checked before it is kept."""

import argparse
import contextlib
import importlib.util
import io
import logging
import pathlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from blursynth import errors
from blursynth.media import atomic_file
from trainers import command_line
from trainers.checkpoints import checkpoint
from trainers.inference import restorer
from trainers.methods import method

EXAMPLES = """\
examples:
  python -m trainers.export runs/deblurgan -o deblurgan.onnx

The graph takes "blurred", float32 (1, 3, H, W) of RGB in [0, 1], encoded light, and gives "restored", the same. H and W
are free, but multiples of the number that the command prints (and "multiples_of" in the file's metadata says). Dropout
that a method keeps at test time is left out.
"""
TOLERANCE = 1e-3
"""How far the graph may be from the checkpoint; half of an 8-bit code is 2e-3."""
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_NAMES = ("blurred", "restored")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the network, write the graph to memory, compare it with the network, keep it."""
    args = _parser().parse_args(arguments)
    _require_packages()
    if args.out.exists() and not args.overwrite:
        raise errors.InputError(f"{args.out} exists already; give --overwrite to replace it, or another -o.")
    network = restorer.load(args.checkpoint, torch.device("cpu"), dropout=False)
    about = checkpoint.about(checkpoint.find(args.checkpoint))
    step = network.sides_are_multiples_of()
    notes = {
        "method": about.method,
        "variant": about.variant,
        "images_seen": str(about.images_seen),
        "multiples_of": str(step),
        "range": "RGB in [0, 1], encoded light",
        "recipe": about.recipe,
    }
    graph = graph_of(network, notes)
    apart = difference(network, graph)
    if not apart <= TOLERANCE:
        raise errors.InputError(
            f"The exported graph differs from {args.checkpoint} by {apart:.2g} of the range, expected {TOLERANCE:g} "
            "at most; nothing was written. Other versions of PyTorch, onnxscript or onnxruntime may do better."
        )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.replace(args.out, graph)
    print(f"Wrote {args.out}: {len(graph) / 1e6:.1f} MB, sides multiples of {step}, within {apart:.1g} of the network.")
    return 0


def graph_of(trained: method.Method, notes: dict[str, str] | None = None) -> bytes:
    """`trained.restore` as an ONNX file for images of any size that needs no continuing; `notes` become metadata."""
    step = trained.sides_are_multiples_of()
    least = max(2, -(-type(trained).smallest // step))
    sides = {axis: _side(name, step, least) for axis, name in ((2, "height"), (3, "width"))}
    # Two sizes that differ, so that nothing is taken for square or fixed.
    factors = (least + 2, least + 4)
    example = torch.rand(1, 3, *(factor * max(step, 8) for factor in factors))
    with _quietly():
        program: Any = torch.onnx.export(
            _Restoring(trained).eval(),
            (example,),
            dynamo=True,
            dynamic_shapes={"blurred_NCHW": sides},
            input_names=_NAMES[:1],
            output_names=_NAMES[1:],
            verbose=False,
        )
    model = program.model_proto
    for key, value in (notes or {}).items():
        model.metadata_props.add(key=key, value=value)
    written: bytes = model.SerializeToString()
    return written


def difference(trained: method.Method, graph: bytes) -> float:
    """The largest difference between the graph, run by onnxruntime, and the network, over images of several sizes."""
    import onnxruntime  # not needed for anything else, and not always installed

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    step = trained.sides_are_multiples_of()
    numbers = torch.Generator().manual_seed(0)
    apart = []
    for height, width in ((48, 80), (96, 40), (136, 200)):
        size = (-(-height // step) * step, -(-width // step) * step)
        blurred = torch.rand(1, 3, *size, generator=numbers)
        exported = torch.from_numpy(session.run(None, {_NAMES[0]: blurred.numpy()})[0])
        apart.append(float((exported - trained.restore(blurred)).abs().max()))
    return max(apart)


class _Restoring(torch.nn.Module):
    """A method's `restore` as a module."""

    def __init__(self, trained: method.Method) -> None:
        super().__init__()
        self.network = trained.networks["generator"]
        self._trained = trained

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        return self._trained.restore(blurred_NCHW)


def _side(name: str, step: int, least: int) -> Any:
    free = torch.export.Dim(name, min=least)
    return free if step == 1 else step * free


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """PyTorch tells of its own deprecations and of packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise errors.InputError(
            f"Exporting needs the packages {', '.join(missing)}, which are not installed here; install blursynth with "
            "its extra [export]."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.export",
        description="Write a trained network as ONNX, checked against the checkpoint with onnxruntime.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=pathlib.Path, help="a checkpoint file, or a run folder: its best (else last) one"
    )
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, metavar="FILE", help="the ONNX file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
