"""The PyTorch reference: the arithmetic contract in torch operators only, independent of pymodel.network.golden.

Sums are convolutions in float64, which is exact: no layer's sum of int8 products comes near 2**53. An operator adds its
computation with `@ofmaps.register`.
"""

from functools import singledispatch

import numpy as np
import torch
from torch.nn import functional

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.convolution import Convolution
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.concat import Concat
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.grouped import Grouped
from deeplock.pymodel.network.operators.interleave import Interleave
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.network.operators.outputs import Outputs
from deeplock.pymodel.network.operators.table import Table
from deeplock.pymodel.network.operators.transposed import Transposed
from deeplock.pymodel.network.operators.upsample import Upsample

__all__ = ["ofmaps", "run"]


@singledispatch
def ofmaps(layer: Layer, *ifmaps: torch.Tensor) -> torch.Tensor:
    """Ofmaps of a layer, given what it reads; all float64 [n, channels, height, width] with int8 values."""
    raise DeeplockError(f"layer {layer.name}: the PyTorch reference has no operator {layer.kind}")


def _per_channel(values: np.ndarray) -> torch.Tensor:
    """int64 [1, out, 1, 1], to meet tensors in PyTorch's NCHW order."""
    return torch.from_numpy(values.astype(np.int64)).reshape(1, -1, 1, 1)


def _scale(sums: torch.Tensor, multiplier: torch.Tensor | int, shift: torch.Tensor | int) -> torch.Tensor:
    """sums * multiplier / 2**shift, int64, halves rounded up. Shifting in two steps keeps a shift of 64 defined."""
    return (((sums * multiplier) >> (shift - 1)) + 1) >> 1


@ofmaps.register
def _conv(layer: Conv, ifmaps: torch.Tensor) -> torch.Tensor:
    return _convolved(layer, ifmaps, groups=1)


@ofmaps.register
def _depthwise(layer: Depthwise, ifmaps: torch.Tensor) -> torch.Tensor:
    return _convolved(layer, ifmaps, groups=ifmaps.shape[1])


@ofmaps.register
def _grouped(layer: Grouped, ifmaps: torch.Tensor) -> torch.Tensor:
    return _convolved(layer, ifmaps, layer.groups)


def _convolved(layer: Convolution, ifmaps: torch.Tensor, groups: int) -> torch.Tensor:
    top, left, bottom, right = layer.padding
    padded = functional.pad(ifmaps, (left, right, top, bottom), value=layer.input_zero_point)
    weight = torch.from_numpy(layer.weight).permute(0, 3, 1, 2).double()
    given = {"stride": layer.stride, "dilation": layer.dilation, "groups": groups}
    sums = functional.conv2d(padded, weight, **given).long() + _per_channel(layer.bias)
    half = 2 ** (layer.accumulator_bits - 1)
    wrapped = torch.remainder(sums + half, 2 * half) - half  # only with a wrong key, whose bias is any number
    scaled = _scale(wrapped, _per_channel(layer.multiplier), _per_channel(layer.shift))
    return (scaled + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _transposed(layer: Transposed, ifmaps: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(layer.weight).permute(3, 0, 1, 2).double()
    whole = functional.conv_transpose2d(ifmaps - layer.input_zero_point, weight, stride=layer.stride)
    top, left, bottom, right = layer.padding
    sums = functional.pad(whole, (-left, -right, -top, -bottom)).long() + _per_channel(layer.bias)
    wrapped = torch.remainder(sums + 2**31, 2**32) - 2**31
    scaled = _scale(wrapped, _per_channel(layer.multiplier), _per_channel(layer.shift))
    return (scaled + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _average_pool(layer: AveragePool, ifmaps: torch.Tensor) -> torch.Tensor:
    """A depthwise convolution with ones, since a mean would round."""
    channels = ifmaps.shape[1]
    top, left, bottom, right = layer.padding
    padded = functional.pad(ifmaps, (left, right, top, bottom), value=layer.input_zero_point)
    ones = torch.ones(channels, 1, *layer.kernel, dtype=torch.float64)
    sums = functional.conv2d(padded, ones, stride=layer.stride, groups=channels).long() + layer.bias
    return (_scale(sums, layer.multiplier, layer.shift) + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _add(layer: Add, ifmaps: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    sums = (ifmaps * layer.weights[0] + others * layer.weights[1]).long() + layer.bias
    return (_scale(sums, layer.multiplier, layer.shift) + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _multiply(layer: Multiply, ifmaps: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    products = torch.mul(ifmaps - layer.zero_points[0], others - layer.zero_points[1]).long()
    return (_scale(products, layer.multiplier, layer.shift) + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _max_pool(layer: MaxPool, ifmaps: torch.Tensor) -> torch.Tensor:
    top, left, bottom, right = layer.padding
    padded = functional.pad(ifmaps, (left, right, top, bottom), value=float("-inf"))
    return functional.max_pool2d(padded, layer.kernel, layer.stride)


@ofmaps.register
def _concat(layer: Concat, *ifmaps: torch.Tensor) -> torch.Tensor:
    """A scaled sum of a tensor alone."""
    scaled = [
        _scale(each.long() + bias, multiplier, shift)
        for each, bias, multiplier, shift in zip(ifmaps, layer.bias, layer.multiplier, layer.shift, strict=True)
    ]
    return (torch.cat(scaled, 1) + layer.zero_point).clamp(layer.lo, layer.hi).double()


@ofmaps.register
def _cut(layer: Cut, ifmaps: torch.Tensor) -> torch.Tensor:
    return ifmaps.narrow(1, layer.first, layer.channels)


@ofmaps.register
def _upsample(layer: Upsample, ifmaps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(ifmaps, scale_factor=layer.factors, mode="nearest")


@ofmaps.register
def _depth_to_space(layer: DepthToSpace, ifmaps: torch.Tensor) -> torch.Tensor:
    if not layer.apart:
        ifmaps = ifmaps.unflatten(1, (layer.size**2, -1)).transpose(1, 2).flatten(1, 2)
    return functional.pixel_shuffle(ifmaps, layer.size)


@ofmaps.register
def _interleave(layer: Interleave, *ifmaps: torch.Tensor) -> torch.Tensor:
    """Written pixel by pixel of its blocks."""
    count, channels, height, width = ifmaps[0].shape
    out = torch.empty(count, channels // layer.across, height * len(ifmaps), width * layer.across, dtype=torch.float64)
    for row, each in enumerate(ifmaps):
        for column, part in enumerate(each.chunk(layer.across, 1)):
            out[:, :, row :: len(ifmaps), column :: layer.across] = part
    return out[:, :, : layer.height, : layer.width]


@ofmaps.register
def _table(layer: Table, ifmaps: torch.Tensor) -> torch.Tensor:
    """A matrix of one-hot rows would do the same; `embedding` picks the rows by number."""
    return functional.embedding(ifmaps.long() + 128, torch.from_numpy(layer.table).double()[:, None])[..., 0]


@ofmaps.register
def _outputs(layer: Outputs, *ifmaps: torch.Tensor) -> torch.Tensor:
    return torch.cat([each.permute(0, 2, 3, 1).flatten(1) for each in ifmaps], 1)[:, :, None, None]


@torch.no_grad()
def run(network: Network, ifmaps: np.ndarray) -> dict[str, torch.Tensor]:
    """Every layer's ofmaps, by name, for the network's ifmaps; all int8 [n, height, width, channels].

    Also takes the parameters that a wrong key gives: any int8 weight, int32 bias, multiplier of 16 bits, shift 1..64.
    """
    values = {"input": torch.from_numpy(ifmaps).permute(0, 3, 1, 2).double()}
    for layer in network.layers:
        values[layer.name] = ofmaps(layer, *(values[name] for name in layer.sources))
    return {layer.name: values[layer.name].permute(0, 2, 3, 1).to(torch.int8) for layer in network.layers}
