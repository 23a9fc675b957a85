"""The digits network under each scheme, made once a session."""

import pytest

from deeplock.pymodel.attacks.target import Target, load_target

__all__ = ["target"]

IMAGES = 360


@pytest.fixture
def target():
    """Gives the digits network under a scheme, or from scratch."""

    def load(scheme: str, seed: int = 0) -> Target:
        return load_target("digits", scheme, seed, None, IMAGES)

    return load
