"""The trained digits network, which several tests need: one training (about a second) a session. And random numbers: a test's
seed is printed, and DEEPLOCK_SEED takes it back."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from deeplock.pymodel.zoo import datasets, train
from tests.hw.conftest import rng, seed

__all__ = ["Trained", "digits", "rng", "seed"]


@dataclass(frozen=True)
class Trained:
    """calibration  float32 [256, 1, 8, 8], from the training images"""

    module: nn.Module
    history: list[train.Epoch]
    data: datasets.Dataset
    calibration: torch.Tensor


@pytest.fixture(scope="session")
def digits() -> Trained:
    data = datasets.load("digits")
    module, history = train.train("digits", seed=0, data=data)
    return Trained(module, history, data, train.to_input("digits", data.train_images[:256]))
