"""The archives that `make.py` wrote, and the command lines in this process."""

import contextlib
import importlib
import io
import json
import pathlib
import shlex
import sys
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

DATA = pathlib.Path(__file__).parent / "data"


def unpack(name: str, folder: pathlib.Path, starts: tuple[str, ...] = ("",)) -> pathlib.Path:
    """Unpack an archive, or those of its files whose names start so."""
    with tarfile.open(DATA / name) as tar:
        members = [member for member in tar.getmembers() if member.name.startswith(starts)]
        tar.extractall(folder, members, filter="data")
    return folder


def about(folder: pathlib.Path) -> dict[str, Any]:
    """The version, root and commands of an unpacked archive."""
    values: dict[str, Any] = json.loads((folder / "about.json").read_text())
    return values


def run(folder: pathlib.Path, module: str, arguments: Sequence[str]) -> str:
    """What `python -m MODULE ARGUMENTS` prints in `folder`; fails where its exit code is not 0."""
    code, said = attempt(folder, module, arguments)
    assert code == 0, f"{module} {shlex.join(arguments)}: exit code {code}\n{said}"
    return said


def attempt(folder: pathlib.Path, module: str, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code of `python -m MODULE ARGUMENTS` in `folder`, and what it prints."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = _blursynth(arguments) if module == "blursynth" else _trainers(module, arguments)
    return code, said.getvalue()


def _blursynth(arguments: Sequence[str]) -> int:
    entry = importlib.import_module("blursynth.__main__")
    with _argv("blursynth", arguments), pytest.raises(SystemExit) as ended:
        entry.main()
    return int(ended.value.code or 0)


def _trainers(module: str, arguments: Sequence[str]) -> int:
    return int(importlib.import_module(module).main(arguments))


@contextlib.contextmanager
def _argv(program: str, arguments: Sequence[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [program, *arguments]
    try:
        yield
    finally:
        sys.argv = before


def files(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
