"""What a process that makes shards runs on, and how it is set up for that."""

import contextlib
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Mapping

import blursynth
from blursynth.storage import provenance

# A process besides its tasks: 200 MiB of Python with Numba, Dask and tensorstore loaded, and what its heaps keep.
BASE_BYTES = 420 * 2**20

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@functools.cache
def prepare_process() -> None:
    """Set this process up for running several tasks at a time, once.

    Each task is one thread, so libraries are told to start none of their own (those that are not loaded yet; ours
    call nothing that does). And memory that is freed goes back to the system, where the C library is glibc: by default
    each thread has a heap of its own and keeps what it frees. Four workers storing 100,000 trajectories then peak at
    1.4 GB, with two heaps for all at 0.82 GB, with blocks of 16 MiB outside of them at 0.76 GB, in the same time. With
    those of 1 MiB outside as well, four workers make pairs at 1,250/s instead of 2,000/s: each is paged in anew.
    """
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    heaps, mapped_from = -8, -3  # M_ARENA_MAX and M_MMAP_THRESHOLD of glibc's malloc.h
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library has no mallopt
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(heaps, 2)
            mallopt(mapped_from, 2**24)


def memory_bytes() -> int:
    """Memory of this machine, or of the container that this process runs in; a day's guess where neither is known."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or the word "max"
            limits.append(int(pathlib.Path(name).read_text(encoding="ascii")))
    return min(limits, default=2**63)


def free_memory_bytes() -> int:
    """Memory that is free now, or was last used by the system's cache of files; at most `memory_bytes`."""
    free = memory_bytes()
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = min(free, 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    return free


@functools.cache
def versions() -> dict[str, str]:
    """What decides the bytes of a dataset, on this machine: packages, Python, and a digest of our own code.

    The digest tells two working copies apart that carry the same version number.
    """
    digest = hashlib.sha256()
    package = pathlib.Path(blursynth.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {**provenance.versions(), "blursynth code": digest.hexdigest()[:12], "Python": python}


def probe(ours: Mapping[str, str]) -> Callable[[], dict[str, str]]:
    """What a worker says of its versions. Sent by value: it has to run where this package is another or missing."""
    names = tuple(ours)

    def probe() -> dict[str, str]:
        try:
            from blursynth.production import worker_process as theirs

            found = theirs.versions()
        except (ImportError, AttributeError):
            try:
                import blursynth
            except ImportError:
                return {"blursynth": "(not installed)"}
            return {"blursynth": blursynth.__version__}
        return {name: found.get(name, "(none)") for name in names}

    return probe


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """`numpy 2.1.0, here 2.4.6`, for each that differs."""
    return ", ".join(
        f"{name} {version}, here {ours.get(name, '(none)')}"
        for name, version in theirs.items()
        if version != ours.get(name)
    )
