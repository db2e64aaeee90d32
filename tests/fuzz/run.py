"""`python tests/fuzz/run.py TARGET --n 20000 --seed 0`: read mutated files in child processes, and say what fails.

A failure is any exception but BlursynthError (and an OSError of the system's own, such as a file that is not there), an
input that takes longer than 10 s or more than 2 GB, or the end of the process. Inputs are kept in `--keep`; those made
small belong into `tests/fuzz/corpus/TARGET`, which `--replay` reads.
"""

import argparse
import contextlib
import dataclasses
import errno
import json
import logging
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
SECONDS = 10
MEMORY = 2 * 2**30  # bytes
_SILENT = 40  # seconds without an input ended, after which a process is taken for stuck in a library
_OF_THE_SYSTEM = frozenset({errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})
_ROOM = 2_000  # characters of a traceback that are kept


@dataclasses.dataclass(frozen=True)
class Job:
    """Inputs first .. first + count - 1 of a target, or its corpus."""

    target: str
    seed: int = 0
    first: int = 0
    count: int = 0
    replay: bool = False


@dataclasses.dataclass(frozen=True)
class Failure:
    """`kind`: what happened and where, the same for inputs that fail alike. `file`: the input, if it is kept."""

    target: str
    number: int
    name: str
    kind: str
    text: str
    file: str | None


def check(jobs: Sequence[Job], keep: pathlib.Path) -> list[Failure]:
    """All failures of some jobs, read in one child process, or in several where one ends too early."""
    keep.mkdir(parents=True, exist_ok=True)
    waiting = [job for job in jobs if job.count or job.replay]
    failures: list[Failure] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        while waiting:
            ended, place, found = _child(waiting, keep, scratch)
            failures += found
            if ended is None:
                break
            at, number = place
            job = waiting[at]
            content = (scratch / "input").read_bytes() if (scratch / "input").is_file() else b""
            file = keep / f"{job.target}-{number}-{'crash' if ended else 'stuck'}"
            file.write_bytes(content)
            failures.append(Failure(job.target, number, file.name, ended or "stuck", ended or "stuck", str(file)))
            rest = dataclasses.replace(job, first=number + 1, count=job.first + job.count - number - 1)
            waiting = [rest, *waiting[at + 1 :]] if job.replay or rest.count > 0 else list(waiting[at + 1 :])
    return failures


def _child(
    jobs: Sequence[Job], keep: pathlib.Path, scratch: pathlib.Path
) -> tuple[str | None, tuple[int, int], list[Failure]]:
    """How a child ended (None: with all done; "": it was stuck), at which job and input, and what failed before."""
    progress, report = scratch / "progress", scratch / "report"
    progress.write_text("0 -1")
    report.write_text("")
    given = json.dumps([dataclasses.asdict(job) for job in jobs])
    command = [sys.executable, "-X", "faulthandler", str(HERE / "run.py"), "--child", given, str(keep), str(scratch)]
    with (scratch / "stderr").open("w+b") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        before, since = "", time.monotonic()
        stuck = False
        while process.poll() is None:
            time.sleep(0.05)
            now = progress.read_text()
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > _SILENT:
                stuck = True
                process.kill()
        code = process.wait()
        stderr.seek(0)
        said = stderr.read()[-_ROOM:].decode("utf-8", "replace")
    found = [Failure(**json.loads(line)) for line in report.read_text().splitlines()]
    at, _, number = progress.read_text().partition(" ")
    if code == 0:
        return None, (0, 0), found
    if code > 0 or number in ("", "-1"):
        raise RuntimeError(f"The fuzzing process itself failed:\n{said}")
    return "" if stuck else f"the process ended with {code}:\n{said}", (int(at), int(number)), found


# In the child.


class _TooLongError(BaseException):
    pass


def _too_long(*_: Any) -> None:
    raise _TooLongError


def _work(jobs: Sequence[Job], keep: pathlib.Path, scratch: pathlib.Path) -> None:
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "media")]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    import targets

    made = scratch / f"made-{os.getpid()}"
    made.mkdir()
    targets.prepare(made)
    seen: dict[str, int] = {}
    seeds_of: dict[str, list[bytes]] = {}
    for at, job in enumerate(jobs):
        target = targets.TARGETS[job.target]
        _limit_memory(None)
        if job.target not in seeds_of:
            folder = made if job.target == "dataset" else made / job.target
            folder.mkdir(exist_ok=True)
            seeds_of[job.target] = target.seeds(folder)
        seeds = seeds_of[job.target]
        for content in seeds:  # sound ones are read; what is imported then is no input's memory
            with _empty(scratch) as place:
                _attempt(target, content, place)
        _limit_memory(MEMORY)
        for number, name, content in _contents(job, target, seeds):
            (scratch / "input").write_bytes(content)
            (scratch / "progress").write_text(f"{at} {number}")
            with _empty(scratch) as place:
                text = _attempt(target, content, place)
            if text is None:
                continue
            kind = f"{job.target}: {_kind(text)}"
            seen[kind] = seen.get(kind, 0) + 1
            file = None
            if seen[kind] == 1 and not job.replay:
                path = keep / f"{job.target}-{job.seed}-{number}"
                path.write_bytes(content)
                file = str(path)
            failure = Failure(job.target, number, name, kind, text[-_ROOM:], file)
            with (scratch / "report").open("a") as report:
                report.write(json.dumps(dataclasses.asdict(failure)) + "\n")


def _contents(job: Job, target: Any, seeds: Sequence[bytes]) -> Iterator[tuple[int, str, bytes]]:
    import targets

    if job.replay:
        folder = CORPUS / job.target
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        for number, path in list(enumerate(paths))[job.first :]:
            yield number, path.name, path.read_bytes()
        return
    for number in range(job.first, job.first + max(1, round(job.count * target.share))):
        yield number, str(number), targets.inputs(target, seeds, job.seed, number)


@contextlib.contextmanager
def _empty(scratch: pathlib.Path) -> Iterator[pathlib.Path]:
    place = scratch / "place"
    shutil.rmtree(place, ignore_errors=True)  # of a process that ended within
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _attempt(target: Any, content: bytes, place: pathlib.Path) -> str | None:
    """The traceback of a failure, else None."""
    from blursynth import errors

    before = _peak()
    signal.alarm(SECONDS)
    try:
        target.read(content, place)
    except errors.BlursynthError as error:
        str(error).encode("utf-8", "surrogateescape")
    except OSError as error:
        if type(error).__module__ != "builtins" or error.errno not in _OF_THE_SYSTEM:
            return traceback.format_exc()
    except _TooLongError:
        return f"{traceback.format_exc()}\nlonger than {SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    grown = _peak() - before
    return f"memory: {grown / 2**20:.0f} MB more" if grown > MEMORY else None


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory(more: int | None) -> None:
    """No allocation that goes so many bytes beyond what the process has now; None: any."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard if more is None else pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _kind(text: str) -> str:
    """The exception and the last line of ours that it came through."""
    lines = [line.strip() for line in text.strip().splitlines()]
    ours = [line for line in lines if line.startswith("File ") and ("/blursynth/" in line or "/trainers/" in line)]
    where = ours[-1].split("/", 1)[-1] if ours else ""
    for part in ("blursynth/", "trainers/"):
        where = where[where.rfind(part) :] if part in where else where
    return f"{lines[-1].split(':')[0][:100]} at {where}"


def main() -> int:
    """Fuzz one target and print what was found; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("target", nargs="+")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--replay", action="store_true", help="read the corpus instead")
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("fuzz-found"), help="folder for inputs")
    asked = parser.parse_args()
    failed = 0
    for target in asked.target:
        began = time.monotonic()
        count = 0 if asked.replay else asked.n
        failures = check([Job(target, asked.seed, asked.first, count, asked.replay)], asked.keep)
        spent = time.monotonic() - began
        print(f"{target}: {count or 'corpus'} inputs, {count / spent:.0f} a second, {len(failures)} failures")
        kinds: dict[str, list[Failure]] = {}
        for failure in failures:
            kinds.setdefault(failure.kind, []).append(failure)
        for kind, alike in sorted(kinds.items(), key=lambda each: -len(each[1])):
            print(f"  {len(alike)} x {kind}\n    first: {alike[0].name} {alike[0].file or ''}")
            print("    " + alike[0].text.strip().replace("\n", "\n    "))
        failed += len(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _work([Job(**each) for each in json.loads(sys.argv[2])], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]))
    else:
        sys.exit(main())
