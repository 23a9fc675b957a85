"""A seed for tests that draw."""

from tests.hw.conftest import seed  # noqa: F401
