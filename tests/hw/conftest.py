"""Random numbers of the hardware tests: every test draws and prints a seed of its own; DEEPLOCK_SEED takes it back."""

import os
import secrets
from random import Random

import numpy as np
import pytest


@pytest.fixture
def seed() -> int:
    """Of one test. pytest shows it when the test fails; `DEEPLOCK_SEED=<seed> pytest <test>` repeats the run."""
    value = int(os.environ.get("DEEPLOCK_SEED") or secrets.randbits(32))
    print(f"DEEPLOCK_SEED={value}")
    return value


@pytest.fixture
def rng(seed) -> np.random.Generator:
    """For data."""
    return np.random.default_rng(seed)


@pytest.fixture
def dice(seed) -> Random:
    """For pauses."""
    return Random(seed)
