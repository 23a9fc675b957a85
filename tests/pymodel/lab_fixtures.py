"""One thread, as `deeplock attack` has it in every process, and the digits network under each scheme, made once a session."""

import pytest
import torch

from deeplock.pymodel.attacks.target import Target, load_target

__all__ = ["one_thread", "target"]

IMAGES = 360


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def target():
    """Gives the digits network under a scheme, or from scratch."""

    def load(scheme: str, seed: int = 0) -> Target:
        return load_target("digits", scheme, seed, None, IMAGES)

    return load
