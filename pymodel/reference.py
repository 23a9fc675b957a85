"""The PyTorch reference: the arithmetic contract's integers by torch operators only, independent of pymodel.golden.

Sums are convolutions in float64, which is exact: no sum of int8 products that fits a layer comes near 2**53.
"""

import numpy as np
import torch
from torch.nn import functional

from pymodel.network import Conv, MaxPool, Network

__all__ = ["run"]


def _per_channel(values: np.ndarray) -> torch.Tensor:
    """int64 [1, out, 1, 1], to meet tensors in PyTorch's NCHW order."""
    return torch.from_numpy(values.astype(np.int64)).reshape(1, -1, 1, 1)


def _conv(layer: Conv, ifmaps: torch.Tensor) -> torch.Tensor:
    """Ofmaps of ifmaps, both float64 [n, channels, height, width] with int8 values."""
    top, left, bottom, right = layer.padding
    padded = functional.pad(ifmaps, (left, right, top, bottom), value=layer.input_zero_point)
    weight = torch.from_numpy(layer.weight).permute(0, 3, 1, 2).double()
    sums = functional.conv2d(padded, weight, stride=layer.stride).long() + _per_channel(layer.bias)
    half = 2 ** (layer.accumulator_bits - 1)
    accumulator = (
        torch.remainder(sums + half, 2 * half) - half
    )  # wraps with a wrong key only: then the bias is any number
    product = accumulator * _per_channel(layer.multiplier)
    rounded = ((product >> (_per_channel(layer.shift) - 1)) + 1) >> 1
    return (rounded + layer.zero_point).clamp(layer.lo, layer.hi).double()


def _max_pool(layer: MaxPool, ifmaps: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(ifmaps, layer.kernel, layer.stride)


@torch.no_grad()
def run(network: Network, ifmaps: np.ndarray) -> dict[str, torch.Tensor]:
    """Ofmaps int8 [n, height, width, channels] of every layer, by name, of ifmaps int8 [n, height, width, channels].

    Takes the parameters that a wrong key gives too: any int8 weight, int32 bias, multiplier of 16 bits, shift 1..64.
    """
    values = {"input": torch.from_numpy(ifmaps).permute(0, 3, 1, 2).double()}
    for layer in network.layers:
        ifmap = values[layer.source]
        values[layer.name] = _conv(layer, ifmap) if isinstance(layer, Conv) else _max_pool(layer, ifmap)
    return {layer.name: values[layer.name].permute(0, 2, 3, 1).to(torch.int8) for layer in network.layers}
