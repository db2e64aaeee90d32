"""`python -m trainers.run RECIPE`: train a network, or go on with a run that was stopped."""

import argparse
import signal
import sys
from collections.abc import Sequence

import torch

from trainers import dry_run, loop, ranks, recipe, run_folder, session, terminal

EXAMPLES = """\
examples:
  python -m trainers.run deblurgan --data pairs.zarr --out runs/first
  python -m trainers.run my_recipe.toml --set data.batch=2 --set seed=7
  python -m trainers.run deblurgan --data pairs.zarr --dry-run
  torchrun --nproc-per-node 4 -m trainers.run deblurgan --data pairs.zarr --set data.batch=4

The same command again goes on from the last checkpoint. Ctrl-C or SIGTERM makes a checkpoint first.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the recipe, check the run folder, train; gives the exit code."""
    asked = _parser().parse_args(arguments)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = terminal.device(asked.device)
    wanted = recipe.load(asked.recipe, asked.changes, asked.data, asked.out)
    if asked.dry_run:
        return _forecast(wanted, device, overwrite=asked.overwrite)
    run_folder.check(wanted.folder, wanted, overwrite=asked.overwrite)
    ranks.start(device)
    try:
        outcome = _train(wanted, device, overwrite=asked.overwrite)
    finally:
        ranks.stop()
    return 1 if outcome is None else _report(wanted, outcome)


def _forecast(wanted: recipe.Recipe, device: torch.device, *, overwrite: bool) -> int:
    found = dry_run.describe(wanted, device, overwrite=overwrite)
    print(found.text)
    if not found.obstacles:
        return 0
    print("Training could not start:", *found.obstacles, sep="\n  ", file=sys.stderr)
    return 2


def _train(wanted: recipe.Recipe, device: torch.device, *, overwrite: bool) -> loop.Outcome | None:
    """One process's part of the run; None where the user keeps the run that is in the folder."""
    run = session.start(wanted, device)
    if not ranks.first():
        ranks.first_does(lambda: None)
        return loop.train(run, wanted.folder)
    print(run.method.describe())
    if overwrite and not run_folder.discard(wanted.folder):
        return None
    with run_folder.Lock(wanted.folder):
        run_folder.require_same_data(wanted.folder, wanted, run.data.describe(), run.held_out)
        run_folder.create(wanted.folder, wanted)
        ranks.first_does(lambda: None)  # the others look for a checkpoint only now
        return loop.train(run, wanted.folder)


def _report(wanted: recipe.Recipe, outcome: loop.Outcome) -> int:
    if not ranks.first():
        return 0 if outcome.signal is None else 128 + outcome.signal
    best = "" if outcome.best is None else f" Best validation PSNR {outcome.best:.2f} dB."
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name
        print(
            f"Stopped by {name} at {outcome.images:,} images, with a checkpoint; the same command again goes on.{best}"
        )
        return 128 + outcome.signal
    print(f"The run in {wanted.folder} is finished: {outcome.images:,} images seen.{best}")
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
    print(f"Restore photos with it: python -m trainers.deblur {wanted.folder} PHOTO... -o FOLDER")
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
    parser.add_argument("--threads", type=terminal.threads, metavar="N", help="CPU threads (default: PyTorch's choice)")
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
    ranks.leave(terminal.exit_code(main))
