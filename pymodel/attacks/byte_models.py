"""What an attacker expects of plain parameter bytes, without having seen any of this network's.

A model is float64 [period, 256]: how probable each value is of a byte at each position modulo `period`.
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
    """The int8 weights of layers of that name in these networks, of `dense1` for instance; else of the same kind."""
    found = [weights for network in networks for weights in weights_of(network).items()]
    kinds = tensor if tensor in dict(found) else "conv" if tensor.startswith("conv") else "dense"
    return [values for name, values in found if name.startswith(kinds)]


def model_of(tensors: Iterable[np.ndarray], period: int = 1) -> np.ndarray:
    """The model that these tensors' bytes (little-endian) give, each tensor weighing the same."""
    model = np.zeros((period, 256))
    for tensor in tensors:
        data = np.frombuffer(np.ascontiguousarray(tensor).tobytes(), np.uint8).reshape(-1, period)
        counts = np.stack([np.bincount(column, minlength=256) for column in data.T]) + _SMOOTHING
        model += counts / counts.sum(axis=1, keepdims=True)
    return model / model.sum(axis=1, keepdims=True)


def information(model: np.ndarray, data: np.ndarray | Sequence[int] | None = None) -> float:
    """Bits that a byte of `data` (uint8) tells, on average, against a uniform one; of the model's own bytes if not given."""
    if data is None:
        return float((model * np.log2(256 * model)).sum(axis=1).mean())
    values = np.asarray(data, np.uint8).ravel()
    return float(np.log2(256 * model)[np.arange(len(values)) % len(model), values].mean())
