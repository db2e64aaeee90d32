"""The folder of a training run: its files, which recipe may continue in it, and its lock."""

import fcntl
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from blursynth import errors
from blursynth.config import toml
from blursynth.media import atomic_file, source_file
from trainers import recipe
from trainers.checkpoints import checkpoint, result_record
from trainers.training import log, validation

RECIPE = "recipe.toml"
SHEETS = "sheets"
_LOCK = ".lock"
_OURS = (RECIPE, log.LOG, checkpoint.LAST, checkpoint.BEST, "tensorboard", SHEETS, _LOCK)


def check(folder: pathlib.Path, config: recipe.Recipe, *, overwrite: bool = False) -> None:
    """Raise RecipeError where the folder holds anything but a run of this recipe.

    With `overwrite` it may be a run of any recipe. Datasets may have been moved: `require_same_data` compares their
    fingerprints. Nothing is changed.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    stored = folder / RECIPE
    if not source_file.is_file(stored):
        raise errors.RecipeError(
            f"{folder} exists and is not a run folder (it has no {RECIPE}), so it is left alone; choose another --out."
        )
    if overwrite:
        return
    if not _begun(folder):
        return  # a run that never came to its first checkpoint: nothing would be lost
    with errors.boundary(stored, "a recipe", errors.RecipeError):
        recorded = recipe.recorded(stored.read_text(encoding="utf-8"), source=str(stored))
    lines = recipe.differences(recorded, config, moved=True)
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        raise errors.RecipeError(
            f"{folder} is a run of another recipe; it differs in (there -> asked for):\n{listed}\n"
            f"Go on with it by `python -m trainers.run {stored} --out {folder}` (and --data PATH, if its datasets were "
            "moved), choose another --out, or start anew with --overwrite."
        )


def require_same_data(
    folder: pathlib.Path,
    config: recipe.Recipe,
    training: Sequence[Mapping[str, Any]],
    held_out: validation.HeldOut | None,
) -> None:
    """Raise InputError where the folder's last checkpoint was trained on other data.

    Data are compared by fingerprint, not by path. training: as a checkpoint records the training sets. Checkpoints of
    older versions do not record the validation set's fingerprint; its path is compared instead.
    """
    last = folder / checkpoint.LAST
    if not source_file.is_file(last):
        return
    about = checkpoint.about(last)
    lines = []
    for before, after in zip(about.datasets, training, strict=False):
        if before.get("fingerprint") != after["fingerprint"]:
            lines.append(f"{after['path']}: {'; '.join(_other(before, after))}")
    if len(about.datasets) != len(training):
        lines.append(f"{len(about.datasets)} training sets -> {len(training)}")
    validated = about.progress.get("held_out")
    if validated is None:
        validation_path = recipe.recorded(about.recipe, source=f"the recipe in {last}").validation.path
        if validation_path != config.validation.path:
            lines.append(f"validation.path: {validation_path!r} -> {config.validation.path!r}")
    elif held_out is not None and validated != held_out.fingerprints:
        lines.append(f"validation, fingerprints: {validated} -> {held_out.fingerprints}")
    if lines:
        listed = "".join(f"\n  {line}" for line in lines)
        raise errors.InputError(
            f"{last} was trained on other data than there are now (then -> now):{listed}\nSay with --data (or "
            "--stream and --source) where the old data lie now, choose another --out, or start anew with --overwrite."
        )


def _other(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what two training sets differ in; of streams, whether it is the recipe, the seed or the photos."""
    if not isinstance(before.get("stream"), Mapping) or "stream" not in after:
        return result_record.differences(
            before, {key: after[key] for key in ("fingerprint", "transfer_function", "pairs")}
        )
    old, new = dict(before["stream"]), dict(after["stream"])
    lines = toml.differences(str(old.pop("recipe", "")), new.pop("recipe"))
    del new["trained_sources"]  # what the digest of all sources says already
    return lines + result_record.differences(old, new)


def discard(folder: pathlib.Path) -> bool:
    """Delete the run in a folder, after asking at a terminal; return whether it is gone.

    Other files are never deleted.
    """
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


def create(folder: pathlib.Path, config: recipe.Recipe) -> None:
    """Make the folder and write the resolved recipe into it, or the new paths of its datasets."""
    (folder / SHEETS).mkdir(parents=True, exist_ok=True)
    stored = folder / RECIPE
    if not _begun(folder) or recipe.differences(
        recipe.recorded(stored.read_text(encoding="utf-8"), str(stored)), config
    ):
        atomic_file.replace(stored, toml.to_toml(config).encode())


def _begun(folder: pathlib.Path) -> bool:
    return source_file.is_file(folder / checkpoint.LAST)


class Lock:
    """Held while a process trains in a folder; the system frees it however the process ends."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._path = folder / _LOCK

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        source_file.require_file(self._path)
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
