"""`python -m trainers.deblur CHECKPOINT PHOTO... -o FOLDER`: restore photos of any size."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import torch
import tqdm

from blursynth import errors
from blursynth.media import photos
from trainers import restoring, session, terminal, validation

EXAMPLES = """\
examples:
  python -m trainers.deblur runs/deblurgan photo.jpg -o restored
  python -m trainers.deblur runs/deblurgan/last.safetensors holiday/ -o restored --device cpu
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the network, restore one photo after another; 2 where some could not be read, else 0."""
    asked = _parser().parse_args(arguments)
    device = terminal.device(asked.device)
    jobs = restoring.plan(asked.photos, asked.out, overwrite=asked.overwrite)
    network = restoring.load(asked.checkpoint, device, dropout=not asked.no_dropout, averaged=not asked.no_average)
    refused = []
    for job in tqdm.tqdm(jobs, unit="photo", disable=None):
        try:
            pixels = photos.read(job.source)
        except errors.InputError as error:
            refused.append(str(error))
            continue
        # By name, so that a photo is restored alike by itself and among others.
        torch.manual_seed(session.seed(asked.seed, job.source.name))
        restored = validation.restore(network, pixels, device)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        photos.write_png(job.target, restored)
    print(f"Restored {len(jobs) - len(refused)} of {len(jobs)} photos into {asked.out}.")
    for sentence in refused:
        print(f"Left out: {sentence}", file=sys.stderr)
    return 2 if refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.deblur",
        description="Restore blurred photos with a trained network. Results are PNG files under the photos' names.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=pathlib.Path, help="a checkpoint file, or a run folder: its best (else last) one"
    )
    parser.add_argument("photos", nargs="+", type=pathlib.Path, metavar="photo", help="photos, or folders of photos")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, metavar="FOLDER", help="where results go")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto is a GPU where there is one"
    )
    parser.add_argument(
        "--no-dropout", action="store_true", help="without the dropout that some methods keep at test time"
    )
    parser.add_argument(
        "--no-average", action="store_true", help="with the last weights, where a checkpoint has their running mean"
    )
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random at test time, such as dropout")
    return parser


if __name__ == "__main__":
    sys.exit(terminal.exit_code(main))
