"""Random numbers as in the tests of the hardware."""

from tests.hw.conftest import dice, rng, seed  # noqa: F401
