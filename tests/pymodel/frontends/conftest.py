"""Random numbers: a test's seed is printed, and DEEPLOCK_SEED takes it back."""

from tests.hw.conftest import rng, seed

__all__ = ["rng", "seed"]
