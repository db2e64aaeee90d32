"""What the kernels' tests share."""

import os

import numpy as np
import pytest
import reference

from blursynth.kernels import trajectory


@pytest.fixture(scope="session")
def compiled() -> None:
    """Asked for by tests whose loops would take minutes without the compiler."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        pytest.skip("too slow with NUMBA_DISABLE_JIT")


@pytest.fixture(scope="session")
def paths(compiled: None) -> trajectory.Paths:  # noqa: ARG001
    """Two hundred default trajectories, unrounded."""
    parameters = reference.draw_parameters("boracchi_foi", 200, seed=5)
    return trajectory.simulate(5, np.arange(200), parameters, steps=2000, length=60.0, dynamics="boracchi-foi")
