"""The only Numba options in the project, and where compiled kernels are kept between runs.

`kernel` compiles a loop over arrays, `inline` a scalar or one-row helper that LLVM must fold into it. Both compile on
the first call, release the GIL and run on one thread: the caller owns the parallelism. Floating point stays as
written (no reassociation, no approximate functions), because the same bytes must come out whatever the vector
width. `contracted` alone may fuse a multiplication with the addition that follows it, which is worth a third of the
time of a convolution; a loop under it must leave the compiler one way only to fuse.

Compiled code is cached on disk. Numba checks the file of the kernel itself but not those of the helpers it calls, so
the folder is keyed here on a hash of every source in this package. Nor does it check what it reads: a file that a
power cut left empty would end every later run with an error, and flipped bits would be run. So each file carries a
digest here, and a damaged one counts as missing.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numba
from numba.core import caching, config

_log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = pathlib.Path(__file__).resolve().parent


def kernel(function: Function) -> Function:
    """Compile a loop over arrays; cached on disk. The result is the same to the bit on every processor."""
    return cast(Function, _cached(numba.njit(nogil=True, error_model="numpy")(function)))


def contracted(function: Function) -> Function:
    """Like `kernel`, with fused multiply-add where the expression allows it: one rounding instead of two."""
    return cast(Function, _cached(numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function)))


def inline(function: Function) -> Function:
    """Compile a helper of kernels, folded into its caller so that the caller's loop is vectorised."""
    return cast(Function, numba.njit(nogil=True, error_model="numpy", forceinline=True)(function))


@functools.cache
def source_digest() -> str:
    """SHA-256 of every source file of this package, in hexadecimal: the version of all compiled kernels."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def cache_folder() -> pathlib.Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else beside the sources, else the user's cache folder.

    Nothing is created here; the folder is made when the first kernel is saved. Code with NUMBA_BOUNDSCHECK's checks
    has its own folder.
    """
    chosen: str = config.CACHE_DIR  # type: ignore[attr-defined]  # Numba sets its options when it is imported
    if chosen:
        base = pathlib.Path(chosen)
    elif os.access(PACKAGE, os.W_OK):
        base = PACKAGE / "__pycache__"
    else:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    checked = "-checked" if config.BOUNDSCHECK else ""  # type: ignore[attr-defined]
    return base / f"blursynth-kernels-{source_digest()[:16]}{checked}"


class _Locator(caching._CacheLocator):
    """Tells Numba's cache the folder and the version; the folder is keyed, so the version is the same digest."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._folder = cache_folder()

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":  # noqa: ARG003
        return cls(py_func.__code__.co_firstlineno)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)


class _CacheImplementation(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # type: ignore[list-item]  # noqa: RUF012


class _CheckedFile(caching.IndexDataCacheFile):
    """Numba's files of one kernel, each with the SHA-256 of its content at its end, which unpickling passes over.

    Compiled code is named by its signature, not numbered: two processes that save at once cannot take each other's.
    """

    def save(self, key: Any, data: Any) -> None:
        signature = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        name = self._data_name_pattern.replace("{number:d}", signature)
        self._save_data(name, data)  # type: ignore[no-untyped-call]
        self._save_index(self._load_index() | {key: name})  # type: ignore[no-untyped-call]

    def _load_index(self) -> Any:
        path = pathlib.Path(self._index_path)
        return super()._load_index() if _is_whole(path) else {}  # type: ignore[no-untyped-call]

    def _load_data(self, name: str) -> Any:
        path = pathlib.Path(self._data_path(name))  # type: ignore[no-untyped-call]
        if not _is_whole(path):
            raise FileNotFoundError(path)  # which Numba takes for a kernel that is still to be compiled
        return super()._load_data(name)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[Any]:
        with super()._open_for_write(filepath) as file:
            yield file
            file.flush()
            file.write(hashlib.sha256(pathlib.Path(file.name).read_bytes()).digest())


def _is_whole(path: pathlib.Path) -> bool:
    """Whether a file of the cache is as it was written; True where there is none. Damage is logged once a process."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return True
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[:-size]).digest() == content[-size:]:
        return True
    _say_damaged(path.parent)
    return False


@functools.cache
def _say_damaged(folder: pathlib.Path) -> None:
    _log.warning("Compiled kernels in %s are damaged, as a power cut can leave them; they are compiled again.", folder)


class _Cache(caching.FunctionCache):
    _impl_class = _CacheImplementation

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)  # type: ignore[no-untyped-call]
        self._cache_file = _CheckedFile(  # type: ignore[no-untyped-call]
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    # A cache that cannot be used (full disk, read-only machine) costs the next start time and nothing else.

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(OSError):
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def _cached(dispatcher: Any) -> Any:
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]  # with it, njit hands back the plain function
        dispatcher._cache = _Cache(dispatcher.py_func)
    return dispatcher
