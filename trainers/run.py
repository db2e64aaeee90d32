"""`python -m trainers.run RECIPE`: train a network, or go on with a run that was stopped."""

import argparse
import signal
import sys
from collections.abc import Sequence

import torch

from blursynth import errors
from trainers import command_line, distributed, recipe
from trainers.training import dry_run, loop, run_folder, session

EXAMPLES = """\
examples:
  python -m trainers.run deblurgan --data pairs.zarr --out runs/first
  python -m trainers.run my_recipe.toml --set data.batch=2 --set seed=7
  python -m trainers.run deblurgan --data pairs.zarr --dry-run
  python -m trainers.run light-deblurgan --stream handheld-realistic --source photos/
  torchrun --nproc-per-node 4 -m trainers.run deblurgan --data pairs.zarr --set data.batch=4

The same command again goes on from the last checkpoint. Ctrl-C or SIGTERM makes a checkpoint first.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the recipe, check the run folder, train; gives the exit code."""
    args = _parser().parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = command_line.device(args.device)
    streams = [_stream(each, args.source) for each in args.stream]
    if args.source and not streams:
        raise errors.RecipeError("--source is of --stream; give --stream RECIPE, or set data.train in a recipe.")
    config = recipe.load(args.recipe, args.changes, args.data, args.out, streams)
    if args.dry_run:
        return _forecast(config, device, overwrite=args.overwrite)
    run_folder.check(config.folder, config, overwrite=args.overwrite)
    distributed.start(device)
    try:
        outcome = _train(config, device, overwrite=args.overwrite)
    finally:
        distributed.stop()
    return 1 if outcome is None else _report(config, outcome)


def _stream(text: str, source: str | None) -> dict[str, str]:
    """Return RECIPE or RECIPE:DATASET as the table of a training set."""
    name, colon, dataset = text.rpartition(":")
    table = {"stream": name, "dataset": dataset} if colon and "/" not in dataset else {"stream": text}
    return table if source is None else {**table, "source": source}


def _forecast(config: recipe.Recipe, device: torch.device, *, overwrite: bool) -> int:
    forecast = dry_run.describe(config, device, overwrite=overwrite)
    print(forecast.text)
    if not forecast.obstacles:
        return 0
    print("Training could not start:", *forecast.obstacles, sep="\n  ", file=sys.stderr)
    return 2


def _train(config: recipe.Recipe, device: torch.device, *, overwrite: bool) -> loop.Outcome | None:
    """One process's part of the run; None where the user keeps the run that is in the folder."""
    run = session.start(config, device)
    if not distributed.first():
        distributed.first_does(lambda: None)
        return loop.train(run, config.folder)
    print(run.method.describe())
    if overwrite and not run_folder.discard(config.folder):
        return None
    with run_folder.Lock(config.folder):
        run_folder.require_same_data(config.folder, config, run.data.describe(), run.held_out)
        run_folder.create(config.folder, config)
        distributed.first_does(lambda: None)  # the others look for a checkpoint only now
        return loop.train(run, config.folder)


def _report(config: recipe.Recipe, outcome: loop.Outcome) -> int:
    if not distributed.first():
        return 0 if outcome.signal is None else 128 + outcome.signal
    best = "" if outcome.best is None else f" Best validation PSNR {outcome.best:.2f} dB."
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name
        print(
            f"Stopped by {name} at {outcome.images:,} images, with a checkpoint; the same command again goes on.{best}"
        )
        return 128 + outcome.signal
    print(f"The run in {config.folder} is finished: {outcome.images:,} images seen.{best}")
    if outcome.scores:
        print(
            f"Last validation ({outcome.scores['protocol']}): restored {outcome.scores['psnr']:.2f} dB, "
            f"blurred {outcome.scores['blurred_psnr']:.2f} dB on {outcome.scores['images_scored']} held-out images."
        )
        if outcome.scores["psnr"] < outcome.scores["blurred_psnr"]:
            print(
                "The last network restores worse than leaving images blurred: too short a training, or one that "
                "diverged (see the curves). A lower learning rate helps the latter; the best network was kept."
            )
    print(f"Restore photos with it: python -m trainers.deblur {config.folder} PHOTO... -o FOLDER")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.run",
        description="Train a deblurring network as a recipe says, or go on with a run that was stopped.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="a recipe file, or the name of one that comes with the package")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="train on this dataset instead of the recipe's, or go on with it where it lies now; may repeat",
    )
    parser.add_argument(
        "--stream",
        action="append",
        default=[],
        metavar="RECIPE[:DATASET]",
        help="train on pairs that are made while training, by this recipe of `blursynth make`; may repeat",
    )
    parser.add_argument("--source", metavar="PHOTOS", help="the photos of --stream: a folder, or scenes:N")
    parser.add_argument("--out", metavar="FOLDER", help="the run folder (default: the recipe's, else runs/NAME)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY.PATH=VALUE",
        help="change a setting of the recipe; may repeat",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto is a GPU where there is one"
    )
    parser.add_argument(
        "--threads", type=command_line.threads, metavar="N", help="CPU threads (default: PyTorch's choice)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print recipe, networks, steps and memory, and stop: exit code 0 if training could start, else 2",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the run that is in the folder, asking first at a terminal"
    )
    return parser


if __name__ == "__main__":
    distributed.leave(command_line.exit_code(main))
