"""From nothing to a quantised network: what `train` and `demo` do first. Imports PyTorch."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from deeplock.pymodel.network.network import Network
from deeplock.pymodel.zoo import networks, train
from deeplock.pymodel.zoo.datasets import Dataset, load
from deeplock.pymodel.zoo.recipes import Recipe, recipe_for

__all__ = ["Trained", "quieten_torch", "train_and_quantise"]

CALIBRATION_IMAGES = 256
"""Training images whose activations set the scales."""


def quieten_torch() -> None:
    """Keep what torch and torchao log at import, which says nothing to our users, off the terminal."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class Trained:
    """accuracy  of the float network on all test images (0..1), measured once, at the end
    seconds      that training took
    """

    module: nn.Module
    network: Network
    data: Dataset
    recipe: Recipe
    accuracy: float
    seconds: float


def train_and_quantise(
    name: str, seed: int, epochs: int | None = None, data_dir=None, progress: Callable[[str], None] = print
) -> Trained:
    """Train the network `name` on its data set, then quantise it to int8."""
    quieten_torch()
    from deeplock.pymodel.frontends.quantise import quantise  # after quieten_torch, because it imports torchao

    data = load(networks.dataset_of(name), data_dir)
    recipe = recipe_for(name)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    images = "held-out" if recipe.validation else "test"

    def say(epoch: train.Epoch) -> None:
        progress(
            f"training {name}: epoch {epoch.number} of {recipe.epochs}, loss {epoch.loss:.4f}, "
            f"accuracy {epoch.accuracy:.4f} on {images} images, {epoch.seconds:.0f} s"
        )

    start = time.monotonic()
    module, _ = train.train(name, seed=seed, recipe=recipe, data=data, progress=say)
    seconds = time.monotonic() - start
    progress(f"testing {name}")
    accuracy = train.accuracy(module, train.to_input(data.name, data.test_images), torch.from_numpy(data.test_labels))
    progress(f"quantising {name}")
    calibration = train.to_input(data.name, data.train_images[:CALIBRATION_IMAGES])
    network, _ = quantise(module, calibration, name, classes=data.classes, dataset=data.name)
    return Trained(module, network, data, recipe, accuracy, seconds)
