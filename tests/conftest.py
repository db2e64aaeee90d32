"""What every test may ask for."""

import pathlib
import signal

import hypothesis
import pytest

SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"

# The first example of a law may compile a kernel, and machines differ: time is no property here.
hypothesis.settings.register_profile("blursynth", deadline=None)
hypothesis.settings.load_profile("blursynth")

# A shell that runs the tests in the background lets them ignore Ctrl-C, which they would pass on to the processes whose
# Ctrl-C they test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real photos, clips and goldens that lies beside a checkout; skips where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real test data at {SHARED_DATA}")
    return SHARED_DATA
