"""`python -m trainers.evaluate CHECKPOINT... --data DATASET --protocol NAME`: scores and how they were measured."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import tqdm

from blursynth import errors
from trainers import command_line, protocols
from trainers.evaluation import options, published, scores, summary, tables
from trainers.evaluation import sheets as score_sheets
from trainers.metrics import catalogue

EXAMPLES = """\
examples:
  python -m trainers.evaluate runs/first --data pairs.zarr --split val --protocol gopro-rgb
  python -m trainers.evaluate runs/a runs/b --data GOPRO_Large --part blur_gamma --protocol gopro-rgb --metrics all
  python -m trainers.evaluate runs/a --data Kohler --protocol kohler-2012
  python -m trainers.evaluate --tables

The same command again goes on where it stopped. DATASET is a dataset of pairs, or the folder of GOPRO, HIDE, Köhler,
Lai or RealBlur as published, or a folder of pairs: input/ and target/, blurred/ and sharp/, and other known names,
below or above folders of splits and sequences, as `blursynth export` writes them. --blurred NAME --sharp NAME name the
folders of other layouts, as for `blursynth import`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, score, write the tables, print one; 1 where an output was not finite, else 0."""
    asked = _parser().parse_args(arguments)
    if asked.tables:
        print(published.text(published.measured(asked.measured)))
        return 0
    if not asked.data or not asked.protocol:
        raise errors.InputError("Give --data and --protocol: no score is printed without the name of its protocol.")
    wanted = _wanted(asked)
    folder = options.folder(asked, wanted.protocol)
    rows = scores.networks(asked.checkpoints, wanted)
    journal = scores.Journal(folder, rows, wanted, overwrite=asked.overwrite)
    try:
        with tqdm.tqdm(total=len(rows) * len(wanted.tests.items), unit="image", disable=None) as bar:
            if wanted.tests.truth:
                scores.run(rows, wanted, journal, bar)
    finally:
        journal.close()
    sheets = [] if asked.no_sheets else score_sheets.write(folder, rows, wanted, journal)
    if not wanted.tests.truth:
        print(f"{wanted.tests.name} has no ground truth: {len(sheets)} sheets are in {folder}, and no scores.")
        return 0
    found = summary.summary(rows, wanted, journal)
    entries = [journal.entries[row.name, item.name] for row in rows for item in wanted.tests.items]
    tables.write(folder, found, entries, wanted.metrics)
    print(tables.text(found))
    print(f"Tables, scores of each image and sheets are in {folder}.")
    return 1 if any(row["non_finite"]["images"] for row in found["rows"]) else 0


def _wanted(asked: argparse.Namespace) -> scores.Wanted:
    protocol = protocols.find(asked.protocol)
    metrics = _metrics(asked.metrics, protocol.metrics)
    tests = options.test_images(asked)
    if tests.many and not protocol.truths:
        raise errors.InputError(
            f"Each image of {tests.name} has many ground truths, of which {protocol.name} knows one; use kohler-2012."
        )
    return options.wanted(asked, protocol, metrics, tests)


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
    options.add(parser)
    parser.add_argument("--protocol", metavar="NAME", help=f"one of {', '.join(protocols.PROTOCOLS)}")
    parser.add_argument(
        "--metrics", default="", metavar="NAMES", help="a,b,c or all (default: those the protocol was made for)"
    )
    parser.add_argument("--no-sheets", action="store_true", help="without pictures")
    parser.add_argument("--tables", action="store_true", help="print the papers' tables with our rows, and stop")
    parser.add_argument(
        "--measured", nargs="*", default=[], type=pathlib.Path, metavar="TABLE", help="with --tables: our table.json"
    )
    return parser


if __name__ == "__main__":
    sys.exit(command_line.exit_code(main))
