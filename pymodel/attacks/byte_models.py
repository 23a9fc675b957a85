"""Models of plain parameter bytes, for an attacker who has not seen any of this network's.

A model is float64 [period, 256]: the probability of each byte value at each position modulo `period`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from deeplock.pymodel.network.layer import Weighted
from deeplock.pymodel.zoo import trained

__all__ = ["information", "like", "model_of", "other_networks", "weights_of"]

_SMOOTHING = 0.5
"""Added to every count, so that no value is impossible."""


def weights_of(network: str) -> dict[str, np.ndarray]:
    """The int8 weights of a trained network by tensor name, `<layer>.weight`."""
    layers = trained.load(network).layers
    return {f"{layer.name}.weight": layer.weight for layer in layers if isinstance(layer, Weighted)}


def other_networks(network: str) -> tuple[str, ...]:
    """The trained networks from which an attacker may learn what weights look like: all but the one under attack."""
    return tuple(name for name in trained.NAMES if name not in (network, "digits"))


def like(tensor: str, networks: Iterable[str]) -> list[np.ndarray]:
    """The int8 weights of these networks' layers of that name (such as `dense1`) or, if there are none, of that kind."""
    found = [weights for network in networks for weights in weights_of(network).items()]
    kind = "conv" if "conv" in tensor else "dense"
    same = [values for name, values in found if name == tensor]
    return same or [values for name, values in found if kind in name]


def model_of(tensors: Iterable[np.ndarray], period: int = 1) -> np.ndarray:
    """The model of these tensors' bytes (little-endian); each tensor has the same weight."""
    model = np.zeros((period, 256))
    for tensor in tensors:
        data = np.frombuffer(np.ascontiguousarray(tensor).tobytes(), np.uint8).reshape(-1, period)
        counts = np.stack([np.bincount(column, minlength=256) for column in data.T]) + _SMOOTHING
        model += counts / counts.sum(axis=1, keepdims=True)
    return model / model.sum(axis=1, keepdims=True)


def information(model: np.ndarray, data: np.ndarray | Sequence[int] | None = None) -> float:
    """Mean information of a byte of `data` (uint8) over a uniform one, in bits; without `data`, of the model's own bytes."""
    if data is None:
        return float((model * np.log2(256 * model)).sum(axis=1).mean())
    values = np.asarray(data, np.uint8).ravel()
    return float(np.log2(256 * model)[np.arange(len(values)) % len(model), values].mean())
