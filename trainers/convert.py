"""`python -m trainers.convert FILE -o CHECKPOINT`: weights of DeblurGAN and DeepDeblur as a checkpoint."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from blursynth import errors
from trainers import command_line
from trainers.checkpoints import conversion

EXAMPLES = """\
examples:
  python -m trainers.convert latest_net_G.pth -o deblurgan.safetensors
  python -m trainers.convert model-1000.pt -o deepdeblur.safetensors
  python -m trainers.deblur deblurgan.safetensors photo.jpg -o restored

Nothing in the file is executed. What a file does not tell is taken from the authors' code, where that has one answer;
--set says otherwise.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, recognise, write; gives the exit code."""
    args = _parser().parse_args(arguments)
    if args.out.exists() and not args.overwrite:
        raise errors.InputError(f"{args.out} exists already; give --overwrite to replace it, or another -o.")
    converted = conversion.convert(args.file, args.changes, args.dropout)
    conversion.save(converted, args.out)
    print(f"{args.out}: {converted.provenance['converted from']}")
    print(converted.network.describe())
    print(f"Restore photos with it: python -m trainers.deblur {args.out} PHOTO... -o FOLDER")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.convert",
        description="Turn published weights of DeblurGAN or DeepDeblur-PyTorch into a checkpoint that restores photos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=pathlib.Path, help="the generator's weights, as torch.save wrote them")
    parser.add_argument(
        "-o", "--out", type=pathlib.Path, required=True, metavar="CHECKPOINT", help="the .safetensors file to write"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY.PATH=VALUE",
        help="change a setting of the release recipe, such as method.test_time_dropout=false; may repeat",
    )
    parser.add_argument(
        "--dropout",
        action=argparse.BooleanOptionalAction,
        help="whether a DeblurGAN was trained with dropout, as its code does unless --no_dropout is given; needed for "
        "networks of one convolution a block, whose files do not tell",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there already")
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
