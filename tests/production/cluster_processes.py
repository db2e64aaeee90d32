"""A real Dask scheduler and real workers, each a process of its own on the loopback interface."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
_WORKER = re.compile(r"Starting established connection to|Registered to:")

# Run in a worker before it starts. Every opening of a file by Python passes the first hook; the questions about files
# that pass none are answered as the system would.
_BLIND = """
import errno, os, sys

HIDDEN = {hidden}

def hides(path):
    try:
        name = os.path.abspath(os.fsdecode(path))
    except (TypeError, ValueError):
        return False
    return any(name == hidden or name.startswith(hidden + "/") for hidden in HIDDEN)

def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and arguments and hides(arguments[0]):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])

def blinded(ask):
    def asked(path, *arguments, **options):
        if hides(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return ask(path, *arguments, **options)
    return asked

sys.addaudithook(refuse)
os.stat, os.lstat = blinded(os.stat), blinded(os.lstat)
"""


class Cluster:
    """Started processes; all of them are ended at the end, whatever became of them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self._await("scheduler", re.compile(r"Scheduler at: +(tcp://127\.0\.0\.1:\d+)"))

    def worker(
        self, name: str, package: pathlib.Path = ROOT, blind: Sequence[pathlib.Path] = ()
    ) -> subprocess.Popen[bytes]:
        """One worker process of one thread, without a nanny that would start it again; has registered.

        blind: folders and files that its Python does not see, as where they are not mounted.
        """
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
        if blind:
            (self.folder / f"{name}_sight.py").write_text(_BLIND.format(hidden=[str(path) for path in blind]))
            options += ["--preload", str(self.folder / f"{name}_sight.py")]
        process = self._start("worker", self.address, *options, package=package, log=name)
        self._await(name, _WORKER)
        return process

    def worker_without(self, name: str, folder: pathlib.Path) -> subprocess.Popen[bytes]:
        """As `worker`, with an empty file system mounted over a folder that it alone sees so. Needs privileges."""
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
        mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
        process = self._start("worker", self.address, *options, log=name, within=mount)
        self._await(name, _WORKER)
        return process

    def _start(
        self,
        kind: str,
        *arguments: str,
        package: pathlib.Path = ROOT,
        log: str = "",
        within: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(TESTS)])}
        command = [*within, sys.executable, "-m", "dask", kind, *arguments]
        with (self.folder / f"{log or kind}.log").open("wb") as output:
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def _await(self, log: str, pattern: re.Pattern[str]) -> str:
        """Wait for a line of a log; gives its first group, if it has one."""
        file = self.folder / f"{log}.log"
        for _ in range(600):
            found = pattern.search(file.read_text(encoding="utf-8", errors="replace"))
            if found is not None:
                return found.group(found.lastindex or 0)
            time.sleep(0.1)
        raise AssertionError(file.read_text(encoding="utf-8", errors="replace"))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Cluster]:
    """A scheduler; its logs lie in `folder`."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()
