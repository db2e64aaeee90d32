"""`python -m trainers.benchmark`: how fast each method trains and restores on this machine."""

import argparse
import dataclasses
import itertools
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence

import torch
import tqdm

from blursynth.media import atomic_file
from trainers import command_line, methods, recipe
from trainers.training import timing

EXAMPLES = """\
examples:
  python -m trainers.benchmark
  python -m trainers.benchmark deblurgan --data pairs.zarr --precision float32 bfloat16 --batch 1 8 --compile both
  python -m trainers.benchmark smoke/deblurgan smoke/deepdeblur --crop 64 --json figures.json

Perceptual weights are random: time does not hang on them. Without --data pairs are made up, and data wait is not known.
"""


SIZES = ((256, 256), (720, 1280))
"""Heights and widths of the images whose restoring is timed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure one setting after another, print the table."""
    args = _parser().parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = command_line.device(args.device)
    effort = timing.Effort(args.steps, args.repeats, tuple(args.size), bool(args.data), args.threads)
    rows = [timing.measure(config, device, effort) for config in tqdm.tqdm(list(_settings(args)), disable=None)]
    machine = timing.environment(device)
    print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items()))
    print(timing.table(rows))
    if args.json:
        report = {"environment": machine, "rows": [dataclasses.asdict(row) for row in rows]}
        atomic_file.replace(args.json, json.dumps(report, indent=1).encode())
    return 0


def _settings(args: argparse.Namespace) -> Iterator[recipe.Recipe]:
    """Every combination of what was asked for, as a recipe each."""
    compiled = {"no": (False,), "yes": (True,), "both": (False, True)}[args.compile]
    for name in args.recipes:
        batches = args.batch or [recipe.load(name).data.batch]
        for precision, compiles, batch in itertools.product(args.precision, compiled, batches):
            changes = [f"engine.precision='{precision}'", f"engine.compile={str(compiles).lower()}"]
            changes += [f"data.batch={batch}", "validation.images=0", 'method.perceptual.weights="random"']
            if args.crop:
                changes.append(f"data.crop={args.crop}")
            yield recipe.load(name, [each for each in changes if _applies(name, each)], args.data)


def _applies(name: str, change: str) -> bool:
    return "perceptual" not in change or "perceptual" in type(recipe.load(name).method).model_fields


def _size(text: str) -> tuple[int, int]:
    """ "1280x720" as height and width."""
    width, _, height = text.partition("x")
    try:
        return command_line.positive(height), command_line.positive(width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1280x720") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.benchmark",
        description="Time training steps and restoring, one line a setting.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    known = sorted(name.replace("_", "-") for name in methods.CLASSES)
    add("recipes", nargs="*", default=known, metavar="recipe", help=f"recipes (default: {' '.join(known)})")
    add("--data", action="append", default=[], metavar="PATH", help="read pairs from this dataset; may repeat")
    add("--precision", nargs="+", choices=("float32", "tf32", "bfloat16"), default=["float32", "bfloat16"])
    add("--compile", choices=("no", "yes", "both"), default="no", help="with torch.compile (default: no)")
    add("--batch", nargs="+", type=command_line.positive, metavar="N", help="pairs a batch (default: the recipe's)")
    add("--crop", type=command_line.positive, metavar="PX", help="side of patches (default: the recipe's)")
    add("--size", nargs="+", type=_size, default=SIZES, metavar="WxH", help="of restored images (256x256 1280x720)")
    add("--steps", type=command_line.positive, default=5, help="training steps that are timed (default: 5)")
    add("--repeats", type=command_line.positive, default=3, help="images restored for each median (default: 3)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto is a GPU where there is one")
    add("--threads", type=command_line.threads, metavar="N", help="CPU threads (default: PyTorch's choice)")
    add("--json", type=pathlib.Path, metavar="FILE", help="also write the table to this file")
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
