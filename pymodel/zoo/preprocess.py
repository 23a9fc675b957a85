"""Pixels to real numbers to int8, and back: the same in training, quantised inference, simulation and on the board."""

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.tensor import Pixels

__all__ = ["SCALE", "to_real", "quantise_input"]

SCALE = {
    "digits": Pixels(one=(16.0,)),
    "mnist": Pixels(),
    "fashion-mnist": Pixels(),
    "cifar10": Pixels(zero=(128.0,), one=(64.0,)),
    "gtsrb": Pixels(zero=(128.0,), one=(64.0,)),
}
"""How a data set's pixels map to real numbers for the networks that are trained on it."""


def to_real(source: str | Pixels, images: np.ndarray) -> np.ndarray:
    """Real input float32, same shape, from uint8 images [..., channels].

    source  the data set that the network was trained on, or how raw pixels map to real numbers
    """
    if isinstance(source, str):
        if source not in SCALE:
            raise DeeplockError(f"no preprocessing for data set {source!r}: pass real numbers instead of uint8 images")
        source = SCALE[source]
    zero, one = (np.array(values, np.float32) for values in (source.zero, source.one))
    if {len(zero), len(one)} - {1, images.shape[-1]}:
        raise DeeplockError(
            f"the network's pixels have {max(len(zero), len(one))} channels, the images have {images.shape[-1]}"
        )
    return (images.astype(np.float32) - zero) / one


def quantise_input(network: Network, images: np.ndarray) -> np.ndarray:
    """Ifmaps int8 [n, height, width, channels] from images of that shape.

    uint8 images are raw pixels, which the network's `pixels` or data set maps to real numbers. Floating-point images are
    its real input.
    """
    if images.shape[1:] != network.input_shape:
        raise DeeplockError(f"images must be [n, {', '.join(map(str, network.input_shape))}], not {list(images.shape)}")
    if images.dtype == np.uint8:
        images = to_real(network.pixels or network.dataset, images)
    elif not np.issubdtype(images.dtype, np.floating):
        raise DeeplockError(f"images must be uint8 or floating point, not {images.dtype}")
    return network.input.quantise(images)
