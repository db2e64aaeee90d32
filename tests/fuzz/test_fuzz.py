"""No damaged file makes a reader raise anything but a BlursynthError, hang, need gigabytes, or end the process.

`tests/fuzz/run.py` reads any number of mutated files by hand; what failed once is kept small in `tests/fuzz/corpus`.
"""

import functools
import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
NAMES = (
    "checkpoint", "coco", "dataset", "detector", "gyro", "kernels", "photo", "png", "pth", "recipe", "tar", "video",
    "yolo",
)  # fmt: skip
FEW, MANY = 50, 1000


@functools.cache
def _harness():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("fuzz_run", HERE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_run"] = module
    spec.loader.exec_module(module)
    return module


def _said(failure) -> str:  # type: ignore[no-untyped-def]
    """One line; `python tests/fuzz/run.py TARGET` prints tracebacks."""
    return f"{failure.name}: {failure.kind}: {failure.text.strip().splitlines()[-1][:200]}"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What fails of each target's corpus and of a few mutations: one process reads them all."""
    harness = _harness()
    jobs = [harness.Job(name, replay=True) for name in NAMES]
    jobs += [harness.Job(name, seed=1, count=FEW) for name in NAMES]
    failures: dict[str, list[str]] = {name: [] for name in NAMES}
    for failure in harness.check(jobs, tmp_path_factory.mktemp("found")):
        failures[failure.target].append(_said(failure))
    return failures


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_and_a_few_mutations(name: str, quick: dict[str, list[str]]) -> None:
    assert not quick[name], "\n".join(quick[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_mutations(name: str, tmp_path: pathlib.Path) -> None:
    harness = _harness()
    failures = harness.check([harness.Job(name, seed=2, count=MANY)], tmp_path)
    assert not failures, "\n".join(map(_said, failures))


def test_the_harness_sees_what_fails(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exceptions, time, memory and the end of the process, each at its input; the inputs after it are read too."""
    harness = _harness()
    broken = tmp_path / "targets.py"
    broken.write_text(
        "import dataclasses, os, time\n"
        "from blursynth import errors\n"
        "@dataclasses.dataclass\n"
        "class Target:\n"
        "    share = 1.0\n"
        "    def seeds(self, folder): return []\n"
        "    def read(self, content, folder):\n"
        "        number = int(content)\n"
        "        if number == 0: raise errors.InputError('fine')\n"
        "        if number == 1: raise KeyError('not fine')\n"
        "        if number == 2: os.abort()\n"
        "        if number == 3: bytearray(3 * 2**30)\n"
        "        if number == 4: open('/nowhere/at/all')\n"
        "        if number == 5:\n"
        "            while True: time.sleep(0.1)\n"
        "TARGETS = {'broken': Target()}\n"
        "def inputs(target, seeds, seed, k): return str(k).encode()\n"
        "def prepare(folder): pass\n"
    )
    (tmp_path / "run.py").write_text((HERE / "run.py").read_text().replace("SECONDS = 10", "SECONDS = 1"))
    monkeypatch.setattr(harness, "HERE", tmp_path)
    failures = harness.check([harness.Job("broken", count=7)], tmp_path / "kept")
    assert [each.number for each in failures] == [1, 2, 3, 5]
    kinds = [each.kind for each in failures]
    assert "KeyError" in kinds[0]
    assert "-6" in kinds[1]
    assert "MemoryError" in kinds[2]
    assert "longer than" in kinds[3]
    assert [pathlib.Path(each.file).read_bytes() for each in failures] == [b"1", b"2", b"3", b"5"]


def test_mutations_are_a_function_of_seed_and_number() -> None:
    harness_folder = str(HERE)
    sys.path.insert(0, harness_folder)
    try:
        import mutations
    finally:
        sys.path.remove(harness_folder)
    text = b'{"a": 1, "b": [1.5, {"c": "x"}]}'
    for mutate in (mutations.mutate, mutations.mutate_text, mutations.mutate_json):
        made = [[mutate(text, mutations.random_for(seed, k), [text]) for k in range(50)] for seed in (0, 0, 1)]
        assert made[0] == made[1] != made[2]
        assert sum(each == text for each in made[0]) < 10
