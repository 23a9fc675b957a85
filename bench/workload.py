"""The workload of a measurement: a network and test images of its data set."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input

__all__ = ["LOCKED", "Workload", "load_workload"]

LOCKED = "deep-lock"
"""The suite of the paper, whose cost is measured."""


@dataclass(frozen=True, eq=False)
class Workload:
    """ifmaps  int8 [n, height, width, channels]"""

    network: Network
    ifmaps: np.ndarray


def load_workload(
    network: Path, images: int | Callable[[str], int], data_dir: str | os.PathLike[str] | None = None
) -> Workload:
    """The first test images for a network.

    network   network file, or the name of a trained network that comes with deeplock
    images    number of images, or a function that gives it for the network's name
    data_dir  folder of the data sets that are not bundled
    """
    found = trained.load(str(network)) if str(network) in trained.NAMES else load_network(network)
    if not found.dataset:
        raise DeeplockError(f"{network}: belongs to no data set that deeplock knows")
    count = images if isinstance(images, int) else images(found.name)
    there = datasets.load(found.dataset, data_dir).test_images
    if count > len(there):
        raise DeeplockError(f"data set {found.dataset} has {len(there)} test images, not {count}")
    return Workload(found, quantise_input(found, there[:count]))
