"""Pixels to real numbers to int8, and back: the same in training, quantised inference, simulation and on the board."""

import numpy as np

from pymodel.errors import DeeplockError
from pymodel.network import Network, Quantisation

__all__ = ["SCALE", "to_real", "quantise", "dequantise", "quantise_input"]

SCALE = {"digits": (0, 16), "mnist": (0, 255), "fashion-mnist": (0, 255), "cifar10": (128, 64)}
"""By data set: the pixel value that a network sees as 0.0, and how many pixel values higher it sees 1.0."""


def to_real(dataset: str, images: np.ndarray) -> np.ndarray:
    """Real input float32 of a network trained on `dataset`, same shape, from uint8 images."""
    if dataset not in SCALE:
        raise DeeplockError(f"no preprocessing for data set {dataset!r}: pass real numbers instead of uint8 images")
    zero, one = map(np.float32, SCALE[dataset])
    return (images.astype(np.float32) - zero) / one


def quantise(quantisation: Quantisation, real: np.ndarray) -> np.ndarray:
    """int8, same shape: clamp(round(real / scale) + zero_point, -128, 127), halves to even, in float64."""
    q = np.rint(real.astype(np.float64) / quantisation.scale) + quantisation.zero_point
    return np.clip(q, -128, 127).astype(np.int8)


def dequantise(quantisation: Quantisation, q: np.ndarray) -> np.ndarray:
    """Real numbers float64, same shape, from int8."""
    return quantisation.scale * (q.astype(np.float64) - quantisation.zero_point)


def quantise_input(network: Network, images: np.ndarray) -> np.ndarray:
    """Ifmaps int8 [n, height, width, channels] from images of that shape.

    uint8 images are raw ones of the network's data set; floating-point ones are what the network was trained on.
    """
    if images.shape[1:] != network.input_shape:
        raise DeeplockError(f"images must be [n, {', '.join(map(str, network.input_shape))}], not {list(images.shape)}")
    if images.dtype == np.uint8:
        images = to_real(network.dataset, images)
    elif not np.issubdtype(images.dtype, np.floating):
        raise DeeplockError(f"images must be uint8 or floating point, not {images.dtype}")
    return quantise(network.input, images)
