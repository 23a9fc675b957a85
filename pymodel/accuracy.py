"""How many images a quantised network gets right."""

from collections.abc import Callable

import numpy as np

from pymodel import golden
from pymodel.network import Network
from pymodel.preprocess import quantise_input

__all__ = ["int8_accuracy"]

_BATCH = 100
"""Images at a time: bounds the memory of the golden model's unfolded windows."""


def int8_accuracy(
    network: Network, images: np.ndarray, labels: np.ndarray, progress: Callable[[int], None] = lambda done: None
) -> float:
    """Share (0..1) of images [n, height, width, channels], as `quantise_input` takes them, whose largest output is at
    the label, by the golden model. `progress` is called with the number of images done.
    """
    right = 0
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        ofmaps = golden.run(network, quantise_input(network, images[batch]))[network.layers[-1].name]
        right += int((ofmaps.reshape(len(ofmaps), -1).argmax(axis=1) == labels[batch]).sum())
        progress(min(start + _BATCH, len(images)))
    return right / len(images)
