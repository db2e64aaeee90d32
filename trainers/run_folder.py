"""The folder of one training run: what is in it, whether a recipe may go on in it, and that one process does."""

import fcntl
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from blursynth import errors, recipe_file
from blursynth.media import listing
from trainers import checkpoint, journal, recipe, results, validation

RECIPE = "recipe.toml"
SHEETS = "sheets"
_LOCK = ".lock"
_OURS = (RECIPE, journal.LOG, checkpoint.LAST, checkpoint.BEST, "tensorboard", SHEETS, _LOCK)


def check(folder: pathlib.Path, wanted: recipe.Recipe, *, overwrite: bool = False) -> None:
    """RecipeError where the folder holds anything but a run of this recipe (`overwrite`: of any); touches nothing.

    Datasets may lie elsewhere by now: `require_same_data` compares their fingerprints.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    stored = folder / RECIPE
    if not stored.is_file():
        raise errors.RecipeError(
            f"{folder} exists and is not a run folder (it has no {RECIPE}), so it is left alone; choose another --out."
        )
    if overwrite:
        return
    if not _begun(folder):
        return  # a run that never came to its first checkpoint: nothing would be lost
    with errors.boundary(stored, "a recipe", errors.RecipeError):
        found = recipe.recorded(stored.read_text(encoding="utf-8"), source=str(stored))
    lines = recipe.differences(found, wanted, moved=True)
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        raise errors.RecipeError(
            f"{folder} is a run of another recipe; it differs in (there -> asked for):\n{listed}\n"
            f"Go on with it by `python -m trainers.run {stored} --out {folder}` (and --data PATH, if its datasets were "
            "moved), choose another --out, or start anew with --overwrite."
        )


def require_same_data(
    folder: pathlib.Path,
    wanted: recipe.Recipe,
    training: Sequence[Mapping[str, Any]],
    held_out: validation.HeldOut | None,
) -> None:
    """Raise InputError where a folder's last checkpoint knows other data, by their fingerprints; paths decide nothing.

    `training`: as a checkpoint records the training sets. Checkpoints of older versions do not say on what they
    validated; there its path stands for it.
    """
    last = folder / checkpoint.LAST
    if not last.is_file():
        return
    about = checkpoint.about(last)
    lines = []
    for before, after in zip(about.datasets, training, strict=False):
        if before.get("fingerprint") != after["fingerprint"]:
            now = {key: after[key] for key in ("fingerprint", "transfer_function", "pairs")}
            lines.append(f"{after['path']}: {'; '.join(results.differences(before, now))}")
    if len(about.datasets) != len(training):
        lines.append(f"{len(about.datasets)} training sets -> {len(training)}")
    validated = about.progress.get("held_out")
    if validated is None:
        there = recipe.recorded(about.recipe, source=f"the recipe in {last}").validation.path
        if there != wanted.validation.path:
            lines.append(f"validation.path: {there!r} -> {wanted.validation.path!r}")
    elif held_out is not None and validated != held_out.fingerprints:
        lines.append(f"validation, fingerprints: {validated} -> {held_out.fingerprints}")
    if lines:
        listed = "".join(f"\n  {line}" for line in lines)
        raise errors.InputError(
            f"{last} was trained on other data than there are now (then -> now):{listed}\nSay with --data where "
            "the old data lie now, choose another --out, or start anew with --overwrite."
        )


def discard(folder: pathlib.Path) -> bool:
    """Delete the run in a folder, asking first at a terminal; whether it is gone. Other files are never touched."""
    if not (folder / RECIPE).is_file():
        return True
    if sys.stdin.isatty():
        answer = input(f"Delete the run in {folder} with its checkpoints? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return False
    with Lock(folder):
        for path in [*(folder / name for name in _OURS), *folder.glob("images-*.safetensors")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return True


def create(folder: pathlib.Path, wanted: recipe.Recipe) -> None:
    """Make the folder and put the resolved recipe into it; again is harmless, and notes where datasets lie now."""
    (folder / SHEETS).mkdir(parents=True, exist_ok=True)
    stored = folder / RECIPE
    if not _begun(folder) or recipe.differences(
        recipe.recorded(stored.read_text(encoding="utf-8"), str(stored)), wanted
    ):
        checkpoint.replace(stored, recipe_file.to_toml(wanted).encode())


def _begun(folder: pathlib.Path) -> bool:
    return (folder / checkpoint.LAST).is_file()


class Lock:
    """Held while a process trains in a folder; the system frees it when the process ends, however it ends."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._path = folder / _LOCK

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        listing.require_file(self._path)
        self._file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().strip()
            self._file.close()
            raise errors.InputError(
                f"Another process ({owner}) is training in {self._path.parent}; wait for it, end it, or choose another "
                "--out."
            ) from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {os.uname().nodename}")
        self._file.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
