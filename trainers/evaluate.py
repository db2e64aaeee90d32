"""`python -m trainers.evaluate CHECKPOINT... --data DATASET --protocol NAME`: scores and how they were measured."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import tqdm

from blursynth import errors
from trainers import benchmarks, checkpoint, evaluation, protocols, score_sheets, score_tables, summary, terminal
from trainers.metrics import catalogue
from trainers.published import tables

EXAMPLES = """\
examples:
  python -m trainers.evaluate runs/first --data pairs.zarr --split val --protocol gopro-rgb
  python -m trainers.evaluate runs/a runs/b --data GOPRO_Large --part blur_gamma --protocol gopro-rgb --metrics all
  python -m trainers.evaluate runs/a --data Kohler --protocol kohler-2012
  python -m trainers.evaluate --tables

The same command again goes on where it stopped. DATASET is a dataset of pairs, or the folder of GOPRO, Köhler, Lai or
RealBlur as published, or a folder with photos of the same names in blurred/ and sharp/.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, score, write the tables, print one; 1 where an output was not finite, else 0."""
    asked = _parser().parse_args(arguments)
    if asked.tables:
        print(tables.text(tables.measured(asked.measured)))
        return 0
    if not asked.data or not asked.protocol:
        raise errors.InputError("Give --data and --protocol: no score is printed without the name of its protocol.")
    wanted = _wanted(asked)
    folder = asked.out or pathlib.Path("scores") / f"{pathlib.Path(asked.data).stem}-{wanted.protocol.name}"
    rows = evaluation.networks(asked.checkpoints, wanted)
    journal = evaluation.Journal(folder, rows, wanted, overwrite=asked.overwrite)
    try:
        with tqdm.tqdm(total=len(rows) * len(wanted.tests.items), unit="image", disable=None) as bar:
            if wanted.tests.truth:
                evaluation.run(rows, wanted, journal, bar)
    finally:
        journal.close()
    sheets = [] if asked.no_sheets else score_sheets.write(folder, rows, wanted, journal)
    if not wanted.tests.truth:
        print(f"{wanted.tests.name} has no ground truth: {len(sheets)} sheets are in {folder}, and no scores.")
        return 0
    found = summary.summary(rows, wanted, journal)
    entries = [journal.entries[row.name, item.name] for row in rows for item in wanted.tests.items]
    for name, content in (
        ("per-image.csv", score_tables.per_image(entries, wanted.metrics, wanted.protocol.label)),
        ("table.txt", score_tables.text(found)),
        ("table.md", score_tables.markdown(found)),
        ("table.json", summary.to_json(found)),
    ):
        checkpoint.replace(folder / name, content.encode())
    print(score_tables.text(found))
    print(f"Tables, scores of each image and sheets are in {folder}.")
    return 1 if any(row["non_finite"]["images"] for row in found["rows"]) else 0


def _wanted(asked: argparse.Namespace) -> evaluation.Wanted:
    protocol = protocols.find(asked.protocol)
    metrics = _metrics(asked.metrics, protocol.metrics)
    tests = benchmarks.find(asked.data, layout=asked.layout, split=asked.split, part=asked.part)
    if tests.many and not protocol.truths:
        raise errors.InputError(
            f"Each image of {tests.name} has many ground truths, of which {protocol.name} knows one; use kohler-2012."
        )
    device = terminal.device(asked.device)
    return evaluation.Wanted(protocol, metrics, tests, device, not asked.no_dropout, asked.seed)


def _metrics(text: str, own: Sequence[str]) -> tuple[str, ...]:
    """Names from "a,b"; the protocol's own first, so that they come first in tables."""
    if not text:
        return tuple(own)
    known = [*catalogue.METRICS, *catalogue.MISSING]
    names = known if text == "all" else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise errors.InputError(f"There is no metric {unknown[0]!r}; known are {', '.join(known)}, and all.")
    return tuple(dict.fromkeys([*(name for name in own if name in names), *names]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.evaluate",
        description="Score trained networks, and the blurred input, under a named protocol.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoints", nargs="*", type=pathlib.Path, metavar="checkpoint", help="files or run folders")
    parser.add_argument("--data", metavar="DATASET", help="a dataset of pairs, or a benchmark's folder as published")
    parser.add_argument("--protocol", metavar="NAME", help=f"one of {', '.join(protocols.PROTOCOLS)}")
    parser.add_argument("--split", default="test", help='of a dataset; "all" for every pair (default: test)')
    parser.add_argument(
        "--part", default="", help="of a benchmark: blur_gamma, blur (GOPRO); uniform, nonuniform, real (Lai); J, R"
    )
    parser.add_argument("--layout", choices=benchmarks.LAYOUTS, default="auto", help="of a folder")
    parser.add_argument(
        "--metrics", default="", metavar="NAMES", help="a,b,c or all (default: those the protocol was made for)"
    )
    parser.add_argument("-o", "--out", type=pathlib.Path, metavar="FOLDER", help="default: scores/DATASET-PROTOCOL")
    parser.add_argument("--overwrite", action="store_true", help="begin anew instead of going on")
    parser.add_argument("--no-sheets", action="store_true", help="without pictures")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--no-dropout", action="store_true", help="without the dropout some methods keep at test time")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random at test time, such as dropout")
    parser.add_argument("--tables", action="store_true", help="print the papers' tables with our rows, and stop")
    parser.add_argument(
        "--measured", nargs="*", default=[], type=pathlib.Path, metavar="TABLE", help="with --tables: our table.json"
    )
    return parser


if __name__ == "__main__":
    sys.exit(terminal.exit_code(main))
