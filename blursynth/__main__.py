"""The command line's entry, and the one place that turns an error into a sentence and an exit code."""

import signal
import sys
from typing import NoReturn

import click

from blursynth import errors
from blursynth.cli import main as cli


def main() -> None:
    """Run `blursynth`. Exit code 0: done; 2: something the user can mend; 130: interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)  # as batch systems stop a job: the lock is removed, what is made is kept
    try:
        result = cli.blursynth(prog_name="blursynth", standalone_mode=False)
    except errors.BlursynthError as error:
        sys.exit(_say(str(error), 2))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_say("Interrupted. What is finished is kept: run the same command again to go on.", 130))
    except BrokenPipeError:
        sys.exit(0)  # the reader of our output (head, less) has seen enough
    except OSError as error:
        sys.exit(_say(errors.sentence(error), 2))
    sys.exit(result if isinstance(result, int) else 0)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(f"blursynth: {sentence}\n")
    return code


if __name__ == "__main__":
    main()
