"""What the verbs that score share on the command line: which networks, which images, where results go."""

import argparse
import pathlib

from blursynth.media import source_file
from trainers import command_line, test_sets
from trainers.evaluation import scores
from trainers.protocols import protocol
from trainers.test_sets import items


def add(parser: argparse.ArgumentParser) -> None:
    """Checkpoints, the test set's options, the folder, and how to restore."""
    parser.add_argument("checkpoints", nargs="*", type=pathlib.Path, metavar="checkpoint", help="files or run folders")
    parser.add_argument("--data", metavar="DATASET", help="a dataset of pairs, or a benchmark's folder as published")
    parser.add_argument(
        "--split", help='of a dataset or a folder; "all" for every pair (default: test; of a folder without one val)'
    )
    parser.add_argument(
        "--part", default="", help="of a benchmark: blur_gamma, blur (GOPRO); uniform, nonuniform, real (Lai); J, R"
    )
    parser.add_argument("--blurred", default="", metavar="NAME", help="folder (anywhere on the way) of blurred images")
    parser.add_argument("--sharp", default="", metavar="NAME", help="folder (anywhere on the way) of sharp images")
    parser.add_argument("--layout", choices=test_sets.LAYOUTS, default="auto", help="of a folder")
    parser.add_argument("-o", "--out", type=pathlib.Path, metavar="FOLDER", help="default: scores/DATASET-PROTOCOL")
    parser.add_argument("--overwrite", action="store_true", help="begin anew instead of going on")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--no-dropout", action="store_true", help="without the dropout some methods keep at test time")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random, such as dropout at test time")


def test_images(asked: argparse.Namespace) -> items.TestSet:
    """The test set asked for."""
    return source_file.patiently(
        lambda: test_sets.find(
            asked.data,
            layout=asked.layout,
            split=asked.split,
            part=asked.part,
            blurred=asked.blurred,
            sharp=asked.sharp,
        )
    )


def wanted(
    asked: argparse.Namespace, protocol_: protocol.Protocol, metrics: tuple[str, ...], tests: items.TestSet
) -> scores.Wanted:
    """What is asked for, for the evaluation."""
    return scores.Wanted(protocol_, metrics, tests, command_line.device(asked.device), not asked.no_dropout, asked.seed)


def folder(asked: argparse.Namespace, protocol_: protocol.Protocol) -> pathlib.Path:
    """Where results go."""
    out: pathlib.Path | None = asked.out
    return out or pathlib.Path("scores") / f"{pathlib.Path(asked.data).stem}-{protocol_.name}"
