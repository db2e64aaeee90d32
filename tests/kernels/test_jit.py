"""How kernels are compiled and cached: the same bytes however they run, nothing at import, no stale code."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import small_run

import blursynth
from blursynth.kernels import jit

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = pathlib.Path(blursynth.__file__).resolve().parent

IMPORT_EVERYTHING = """
import pkgutil, importlib, numba.core.dispatcher, blursynth.kernels as package
modules = [importlib.import_module(f"blursynth.kernels.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
found = [v for m in modules for v in vars(m).values() if isinstance(v, numba.core.dispatcher.Dispatcher)]
assert len(found) > 5
assert not [v for v in found if v.signatures]
"""

BLUR_WHITE = """
import numpy as np
from blursynth.kernels import convolve
white = np.full((1, 1, 1), 255, np.uint8)
print(convolve.uniform_encoded(white, np.ones((1, 1), np.float32), "linear").item())
print(sum(convolve._uniform_encoded.stats.cache_hits.values()))
"""


def run(arguments, source=PACKAGE.parent, **environment):
    """Run Python with warnings as errors and the package of `source`; returns what it printed."""
    path = os.pathsep.join([str(source), str(HERE.parent)])
    variables = {**os.environ, "PYTHONPATH": path, **environment}
    command = [sys.executable, "-W", "error", *arguments]
    finished = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=HERE)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_DISABLE_JIT": "1"},
        pytest.param({"NUMBA_BOUNDSCHECK": "1"}, marks=pytest.mark.slow),
        pytest.param({"NUMBA_CPU_NAME": "generic"}, marks=pytest.mark.slow),
    ],
    ids=lambda environment: "=".join(*environment.items()),
)
def test_same_bytes_however_kernels_run(tmp_path, environment):
    run([str(HERE / "small_run.py"), str(tmp_path / "out.npz")], NUMBA_CACHE_DIR=str(tmp_path), **environment)
    other = np.load(tmp_path / "out.npz")
    ours = small_run.outputs()
    assert set(other) == set(ours)
    for name, values in ours.items():
        assert other[name].dtype == values.dtype
        if name in small_run.FUSED:
            np.testing.assert_allclose(other[name], values, rtol=0, atol=1e-6, err_msg=name)
        elif name in small_run.PLATFORM:
            np.testing.assert_allclose(other[name], values, rtol=0, atol=1e-12, err_msg=name)
        else:
            assert other[name].tobytes() == values.tobytes(), name


@pytest.mark.usefixtures("compiled")
def test_importing_compiles_and_writes_nothing(tmp_path):
    run(["-c", IMPORT_EVERYTHING], NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("compiled")
def test_cache_is_used_and_an_edited_helper_is_not_served_from_it(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "blursynth", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    assert run(["-c", BLUR_WHITE], source, NUMBA_CACHE_DIR=str(cache)).split() == ["255", "0"]
    assert run(["-c", BLUR_WHITE], source, NUMBA_CACHE_DIR=str(cache)).split() == ["255", "1"]
    # A helper in another file than the kernel's: Numba's own cache would not notice.
    helper = source / "blursynth" / "kernels" / "response.py"
    edited = helper.read_text().replace("min(linear, ONE)", "min(linear, np.float32(0.25))")
    assert edited != helper.read_text()
    helper.write_text(edited)
    assert run(["-c", BLUR_WHITE], source, NUMBA_CACHE_DIR=str(cache)).split() == ["64", "0"]


@pytest.mark.usefixtures("compiled")
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    script = (
        "import numpy as np; from blursynth.kernels import response as r; print(r.encode(np.ones(1, 'f4'), 'srgb'))"
    )
    assert run(["-c", script], NUMBA_CACHE_DIR=str(blocked / "cache")).split() == ["[255]"]


ENCODE = """
import sys, numpy as np
from blursynth.kernels import response as r
print(r.encode(np.ones(1, "f4"), "srgb"), sum(r._encode.stats.cache_hits.values()))
"""


def no_index(cache):
    for path in cache.rglob("*.nbi"):
        path.unlink()


def no_data(cache):
    for path in cache.rglob("*.nbc"):
        path.unlink()


def rewritten(change):
    def damage(cache):
        files = sorted(cache.rglob("*.nb?"))
        assert {path.suffix for path in files} == {".nbi", ".nbc"}
        for path in files:
            path.write_bytes(change(path.read_bytes()))

    return damage


DAMAGE = {
    "empty": rewritten(lambda _: b""),
    "cut": rewritten(lambda content: content[: len(content) // 2]),
    "cut by a byte": rewritten(lambda content: content[:-1]),
    "zeros": rewritten(lambda content: bytes(len(content))),
    "noise": rewritten(lambda content: np.random.default_rng(0).bytes(len(content))),
    "a bit": rewritten(lambda content: content[:-1000] + bytes([content[-1000] ^ 4]) + content[-999:]),
    "no index": no_index,
    "no data": no_data,
}


@pytest.fixture(scope="module")
def whole_cache(tmp_path_factory):
    """A cache of one kernel."""
    cache = tmp_path_factory.mktemp("cache") / "whole"
    assert encoded(cache) == (["[255]", "0"], [])
    return cache


def encoded(cache):
    """What ENCODE prints, and its lines on standard error."""
    variables = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-W", "error", "-c", ENCODE]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr.splitlines()


FAST = ("noise",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in DAMAGE]
)
def test_a_damaged_cache_is_rebuilt_and_said_once(name, whole_cache, tmp_path):
    """Whatever was damaged: the right result, one line, and the next process finds a whole cache."""
    cache = tmp_path / "cache"
    shutil.copytree(whole_cache, cache)
    DAMAGE[name](cache)
    values, said = encoded(cache)
    assert values == ["[255]", "0"]
    assert len(said) == (0 if name in ("no index", "no data") else 1)
    assert all(str(cache) in line for line in said)
    assert encoded(cache) == (["[255]", "1"], [])


def test_two_processes_that_save_at_once_do_not_take_each_others_code(tmp_path):
    first, second = (jit._CheckedFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    index_before = second._load_index()
    first.save("float32", "code of float32")
    second._load_index = lambda: index_before  # it looked before the first one saved
    second.save("float64", "code of float64")
    reader = jit._CheckedFile(str(tmp_path), "kernel", "stamp")
    assert reader.load("float64") == "code of float64"
    assert reader.load("float32") in (None, "code of float32")


def test_cache_folder(monkeypatch, tmp_path):
    name = f"blursynth-kernels-{jit.source_digest()[:16]}"
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path))
    assert jit.cache_folder() in (tmp_path / name, tmp_path / f"{name}-checked")
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    monkeypatch.setattr(jit.os, "access", lambda path, mode: True)  # noqa: ARG005
    assert jit.cache_folder().parent == jit.PACKAGE / "__pycache__"
    monkeypatch.setattr(jit.os, "access", lambda path, mode: False)  # noqa: ARG005
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert jit.cache_folder().parent == tmp_path / "home"
