"""What every test may ask for."""

import pathlib
import signal
from collections.abc import Callable, Iterator

import hypothesis
import kinds
import pytest

from blursynth.media import source_file

SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"

# The first example of a law may compile a kernel, and machines differ: time is no property here.
hypothesis.settings.register_profile("blursynth", deadline=None)
hypothesis.settings.load_profile("blursynth")

# A shell that runs the tests in the background lets them ignore Ctrl-C, which they would pass on to the processes whose
# Ctrl-C they test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = ("test_readme.py", "test_killed.py", "test_smoke.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes: slow tests first, each where there is room, then file by file.

    What the tests of a file share is so made once, and no long test begins when the other processes have ended.
    """
    if not getattr(config.option, "loadgroup", False):
        return

    def place(item: pytest.Item) -> int:
        longest = [*LONGEST, item.path.name]
        return longest.index(item.path.name) if item.get_closest_marker("slow") else len(longest)

    items.sort(key=place)
    for item in items:
        if not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def no_waits() -> Iterator[None]:
    """What cannot be read is read again at once; `test_source_faults.py` has a process that waits for its photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_file, "WAITS", tuple(0.0 for _ in source_file.WAITS))
        yield


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], kinds.Kept]:
    """A function that gives a small dataset of a kind, made once for all tests; they change copies of it."""
    return lambda kind: kinds.keep(kind, kinds.shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real photos, clips and goldens that lies beside a checkout; skips where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real test data at {SHARED_DATA}")
    return SHARED_DATA
