"""`python -m trainers.deblur CHECKPOINT FILE... -o FOLDER`: restore photos and clips of any size."""

import argparse
import functools
import hashlib
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import torch
import tqdm

from blursynth import errors
from blursynth.media import source_file
from trainers import command_line, seeding
from trainers.checkpoints import checkpoint, result_record
from trainers.inference import photo_files, video_files
from trainers.inference import restorer as restoring

EXAMPLES = """\
examples:
  python -m trainers.deblur runs/deblurgan photo.jpg -o restored
  python -m trainers.deblur runs/deblurgan/last.safetensors holiday/ -o restored --device cpu
  python -m trainers.deblur runs/deblurgan holiday/ -o restored --resume
  python -m trainers.deblur runs/deblurgan clip.mp4 -o restored --no-dropout

Photos become PNG files under their names, clips MP4 files with their frames' times and sound. What does not fit the
memory is restored in tiles, with the statistics of the whole image, so that the result is the same.

blursynth-results.jsonl in the folder says what made each result. --resume refuses results of another checkpoint or
other options, and makes those again whose photo has changed, or that are damaged.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the network, restore one file after another; 2 where some could not be read to their end, else 0."""
    args = _parser().parse_args(arguments)
    device = command_line.device(args.device)
    file = checkpoint.find(args.checkpoint)
    sha256 = result_record.sha256(file)
    by = functools.partial(_made_by, args, device, sha256)
    plan = restoring.plan(args.photos, args.out, by, overwrite=args.overwrite, resume=args.resume)
    jobs, refused = plan.jobs, plan.left_out
    for sentence in plan.again:
        print(sentence, file=sys.stderr)
    if not jobs:
        print(f"Nothing to do: all results are in {args.out}.")
        return _say_left_out(refused)
    network = restoring.load(file, device, dropout=not args.no_dropout, averaged=not args.no_average, sha256=sha256)
    memory = None if args.memory is None else int(args.memory * 2**30)
    restorer = restoring.Restorer(network, device, restoring.Limits(args.tile, memory, args.self_ensemble))
    _require_writable(args.out)
    record, done, incomplete = result_record.Record(args.out), 0, list[str]()
    with tqdm.tqdm(jobs, unit="file", disable=None) as bar:
        for job in bar:
            # By name, so that a photo is restored alike by itself and among others.
            torch.manual_seed(seeding.seed(args.seed, job.source.name))
            job.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                incomplete += _make(job, record, by(job), restorer, args.bits, bar)
                done += 1
            except (errors.InputError, errors.SourceError) as error:
                refused.append(str(error))
            except OSError as error:  # of writing: reading raises SourceError; a full disk names no file
                if error.filename:
                    raise
                raise OSError(error.errno, error.strerror, str(job.target)) from error
    print(f"Restored {done} of {len(jobs)} {_kinds(jobs)} into {args.out}.")
    for sentence in incomplete:
        print(f"Incomplete: {sentence}", file=sys.stderr)
    return max(_say_left_out(refused), 2 if incomplete else 0)


def _say_left_out(refused: Sequence[str]) -> int:
    for sentence in refused:
        print(f"Left out: {sentence}", file=sys.stderr)
    return 2 if refused else 0


def _made_by(
    args: argparse.Namespace, device: torch.device, checkpoint_sha256: str, job: restoring.Job
) -> dict[str, Any]:
    """What decides the pixels of a result. Tiles do, where dropout is on or they are too small to overlap enough."""
    return {
        "checkpoint": checkpoint_sha256,
        "averaged": not args.no_average,
        "dropout": not args.no_dropout,
        "seed": args.seed,
        "self_ensemble": args.self_ensemble,
        "bits": None if job.is_clip else args.bits,
        "tile": args.tile,
        "memory": args.memory,
        "device": device.type,
    }


def _make(
    job: restoring.Job,
    record: result_record.Record,
    by: dict[str, Any],
    restorer: restoring.Restorer,
    bits: photo_files.Bits,
    bar: "tqdm.tqdm[restoring.Job]",
) -> list[str]:
    """Restore a file and record what was made of which bytes; what is missing of the result, as sentences."""
    # A photo is restored from the bytes that the record names; a clip is read in pieces, and compared afterwards.
    photo = None if job.is_clip else source_file.read(job.source)
    sha256 = result_record.sha256(job.source) if photo is None else hashlib.sha256(photo).hexdigest()
    record.begin(job.target, job.source, sha256, by)
    missing = _restore(job, photo, restorer, bits, bar)
    if photo is None and result_record.sha256(job.source) != sha256:
        raise errors.SourceError(
            f"{job.source} was changed while it was restored, so {job.target} is not known to be made of one version "
            "of it. Run the same command again with --resume."
        )
    if not missing:
        record.finish(job.target)
    return missing


def _restore(
    job: restoring.Job,
    photo: bytes | None,
    restorer: restoring.Restorer,
    bits: photo_files.Bits,
    bar: "tqdm.tqdm[restoring.Job]",
) -> list[str]:
    """Restore a clip, or the `photo` in these bytes; what is missing of its result, as sentences."""

    def say(unit: str, done: int, total: int) -> None:
        bar.set_postfix_str(f"{job.source.name}: {unit} {done} of {total}")

    if photo is not None:
        picture = photo_files.read(job.source, photo)
        restored_NCHW = restorer(picture.blurred_NCHW, lambda done, total: say("tile", done, total))
        photo_files.write(job.target, restored_NCHW, picture, bits)
        return []
    outcome = video_files.restore(job.source, job.target, restorer, lambda done, total: say("frame", done, total))
    if outcome.silent:
        tracks = "its sound is" if outcome.silent == 1 else f"{outcome.silent} of its sound tracks are"
        tqdm.tqdm.write(f"{job.source}: {tracks} in a format that MP4 does not hold; left out.", file=sys.stderr)
    incomplete = []
    if outcome.lost:
        incomplete.append(f"{job.source}: {outcome.lost} frames could not be decoded and are missing.")
    if outcome.damage:
        incomplete.append(f"{job.source} is not known to be whole: {outcome.damage}.")
    return incomplete


def _require_writable(folder: pathlib.Path) -> None:
    """Said before work that takes hours, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise errors.InputError(f"Nothing can be written into {folder}: there is no permission; choose another -o.")


def _kinds(jobs: Sequence[restoring.Job]) -> str:
    kinds = {"clips" if job.is_clip else "photos" for job in jobs}
    return " and ".join(sorted(kinds, reverse=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.deblur",
        description="Restore blurred photos and clips with a trained network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=pathlib.Path, help="a checkpoint file, or a run folder: its best (else last) one"
    )
    parser.add_argument(
        "photos", nargs="+", type=pathlib.Path, metavar="file", help="photos, clips, or folders of either"
    )
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, metavar="FOLDER", help="where results go")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    existing.add_argument(
        "--resume",
        action="store_true",
        help="keep results that this network and these options made, and make the others",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto is a GPU where there is one"
    )
    parser.add_argument(
        "--tile", type=command_line.positive, metavar="PIXELS", help="side of tiles; by default what --memory allows"
    )
    parser.add_argument(
        "--memory",
        type=command_line.above_zero,
        metavar="GIB",
        help="what the network may need (default: 4 on a CPU, 70%% of what a GPU has free)",
    )
    parser.add_argument(
        "--self-ensemble", action="store_true", help="mean of all eight flips and turns: better, eight times the work"
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of each sample in the PNG files")
    parser.add_argument(
        "--no-dropout", action="store_true", help="without the dropout that some methods keep at test time"
    )
    parser.add_argument(
        "--no-average", action="store_true", help="with the last weights, where a checkpoint has their running mean"
    )
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random at test time, such as dropout")
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
