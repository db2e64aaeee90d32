"""Make the data of these tests with the version of today: `python tests/older_versions/make.py OUT`.

Uses nothing of the packages but their command lines, so that it outlives moved modules. It is run by hand, once for a
version whose data are worth keeping; the tests read the archives in OUT, with the commands that made them, and do not
run this.
"""

import json
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any

import dataset_commands
import inputs
import torch
import training_runs


def main(out: pathlib.Path) -> None:
    """Write the archives into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="blursynth-") as folder:
        root = pathlib.Path(folder).resolve()
        make_datasets(root / "datasets", out / "datasets.tar.xz")
        make_runs(root / "runs", out / "runs.tar.xz")


def make_datasets(root: pathlib.Path, archive: pathlib.Path) -> None:
    """All datasets and exports, with their inputs."""
    inputs.write(root / "inputs")
    (root / "inputs" / "recipe.toml").write_text(dataset_commands.RECIPE)
    lines = dataset_commands.DATASETS.replace("\\\n", " ").strip().splitlines()
    commands = [shlex.split(line) for line in lines]
    for command in commands:
        if command[0] == "stop":
            stop(root, command[1:])
        else:
            run(root, ["blursynth", *command])
    about(root, commands)
    pack(root, archive)


def make_runs(root: pathlib.Path, archive: pathlib.Path) -> None:
    """Runs as they were when they were stopped, what they came to, and results of a finished one."""
    inputs.for_networks(root / "inputs")
    torch.save(training_runs.published_weights(), root / "inputs" / "deblurgan.pth")
    (root / "expected").mkdir()
    for name in training_runs.METHODS:
        (root / "inputs" / f"{name}.toml").write_text(training_runs.recipe(name))
    lines = training_runs.COMMANDS.replace("\\\n", " ").strip().splitlines()
    commands = [shlex.split(line) for line in lines]
    for command in commands:
        run(root, command)
    for name in training_runs.METHODS:
        folder = root / "runs" / name
        shutil.rmtree(folder / "tensorboard")
        (folder / ".lock").unlink()
        if name == training_runs.FINISHED:
            continue
        take_back(folder, root / "expected" / f"{name}.safetensors")
    (root / "detection" / "sheet.png").unlink()  # large, and made anew by every call
    about(root, commands)
    pack(root, archive)


def take_back(folder: pathlib.Path, expected: pathlib.Path) -> None:
    """Leave a finished run as if it had been killed just before its end; its last checkpoint goes to `expected`."""
    middle, end = sorted(folder.glob("images-*.safetensors"))
    (folder / "last.safetensors").replace(expected)
    shutil.copyfile(middle, folder / "last.safetensors")
    middle.unlink()
    end.unlink()
    scores = [line["psnr"] for line in read_log(folder) if line["kind"] == "validation"]
    if scores[0] < scores[1]:
        (folder / "best.safetensors").unlink()


def read_log(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def about(root: pathlib.Path, commands: list[list[str]]) -> None:
    version = run(root, ["blursynth", "--version"]).split()[-1]
    values = {"version": version, "root": str(root), "commands": commands}
    (root / "about.json").write_text(json.dumps(values, indent=1) + "\n")


def run(root: pathlib.Path, arguments: list[str]) -> str:
    """Run a module with these arguments in `root`; what it printed."""
    sys.stdout.write(f"{shlex.join(arguments)}\n")
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def stop(root: pathlib.Path, command: list[str]) -> None:
    """Run a command until it has finished one more shard, as by Ctrl-C; again where it was faster than that."""
    sys.stdout.write(f"stop {shlex.join(command)}\n")
    dataset = root / command[command.index("--out") + 1]
    before = root / "before"
    if dataset.exists():
        shutil.copytree(dataset, before)
    for _ in range(20):
        if stopped(root, command, dataset):
            break
        shutil.rmtree(dataset)
        if before.exists():
            shutil.copytree(before, dataset)
    else:
        raise SystemExit("it was finished before it could be stopped")
    shutil.rmtree(before, ignore_errors=True)
    sys.stdout.write(f"  with {shards(dataset)} shards\n")


def stopped(root: pathlib.Path, command: list[str], dataset: pathlib.Path) -> bool:
    """Whether the command was interrupted after its first shard."""
    count = shards(dataset)
    words = [sys.executable, "-m", "blursynth", *command]
    with subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while shards(dataset) == count and running.poll() is None:
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        return running.wait() == 130


def shards(dataset: pathlib.Path) -> int:
    return sum(1 for file in (dataset / "digest" / "c").rglob("*") if file.is_file())


def pack(root: pathlib.Path, archive: pathlib.Path) -> None:
    """Everything below `root`, in the order of names and without what differs from time to time."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(root).as_posix(), filter=inputs.anonymous)
    sys.stdout.write(f"{archive}: {archive.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
