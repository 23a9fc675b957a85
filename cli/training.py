"""From nothing to a quantised network: what `train` and `demo` do first. Imports PyTorch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pymodel import networks, train
from pymodel.datasets import Dataset, load
from pymodel.network import Network

__all__ = ["Trained", "quieten_torch", "train_and_quantise"]

CALIBRATION_IMAGES = 256
"""Training images whose activations set the scales."""


def quieten_torch() -> None:
    """Keep what torch and torchao log at import, which says nothing to our users, off the terminal."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class Trained:
    """accuracy  of the float network on the test images (0..1)"""

    module: nn.Module
    network: Network
    data: Dataset
    accuracy: float


def train_and_quantise(
    name: str, seed: int, epochs: int | None = None, data_dir=None, progress: Callable[[str], None] = print
) -> Trained:
    """Train the network `name` on its data set, then quantise it to int8."""
    quieten_torch()
    from pymodel.quantise import quantise  # after quieten_torch, because it imports torchao

    data = load(networks.dataset_of(name), data_dir)
    options = {} if epochs is None else {"epochs": epochs}
    module, history = train.train(
        name,
        seed=seed,
        data=data,
        progress=lambda epoch: progress(f"training {name}: epoch {epoch.number}, accuracy {epoch.accuracy:.4f}"),
        **options,
    )
    progress(f"quantising {name}")
    calibration = train.to_input(data.name, data.train_images[:CALIBRATION_IMAGES])
    network = quantise(module, calibration, name, classes=data.classes, dataset=data.name)
    return Trained(module, network, data, history[-1].accuracy)
