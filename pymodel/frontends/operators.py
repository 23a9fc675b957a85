"""Readers of a PT2E graph's operators: each makes a layer, all but its output scale, from a node's arguments."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np
import torch
from torch import fx

from deeplock.pymodel.frontends.quantizer import (
    ADDS,
    AVERAGES,
    BLOCKS,
    CONCATS,
    CONVS,
    CUTS,
    FUNCTIONS,
    MACS,
    MAXIMA,
    MEANS,
    MULTIPLIES,
    POOLS,
    TRANSPOSED,
    UPSAMPLES,
    unsupported,
)
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.add import integer_add
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.network.operators.concat import integer_concat
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.depthwise import Depthwise, of_any_size
from deeplock.pymodel.network.operators.grouped import conv_of_groups
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import integer_multiply
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.network.operators.transposed import Transposed, fault_of
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.tensor import Padding, Quantisation, Shape, least_stride, span_of

__all__ = ["READERS", "Activation", "Pending", "arguments", "clamped", "padded", "sizes_of"]

_DEQUANTISE_WEIGHT = torch.ops.quantized_decomposed.dequantize_per_channel.default
_RELU6 = frozenset({torch.ops.aten.relu6.default, torch.ops.aten.relu6_.default})
_HARDTANH = frozenset({torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default})
_ADAPTIVE = frozenset({torch.ops.aten.adaptive_avg_pool2d.default, torch.ops.aten.adaptive_avg_pool1d.default})


@dataclass(frozen=True)
class Activation:
    """Ofmap of the layer `source`, or the ifmap "input"; int8 once it has its quantisation.

    rank     dimensions without the batch: 3, [channels, height, width]; 2, [channels, width], of height 1; or 1, [features]
    padding  pixels that a padding operator has put around it
    """

    source: str
    shape: Shape
    quantisation: Quantisation | None = None
    rank: int = 3
    padding: Padding = (0, 0, 0, 0)

    @property
    def flat(self) -> bool:
        return self.rank == 1


@dataclass(frozen=True)
class Pending:
    """A layer whose output scale is not known yet: sums that are still to be requantised.

    shapes  shapes of the tensors that the layer reads
    """

    make: Callable[..., Layer]
    shapes: tuple[Shape, ...]
    rank: int = 3
    lo: float = -inf
    hi: float = inf

    def requantised(self, output: Quantisation) -> tuple[Activation, Layer]:
        layer = self.make(output=output, lo=self.lo, hi=self.hi)
        return Activation(layer.name, layer.output_shape(*self.shapes), output, self.rank), layer


def sizes_of(shape: Shape) -> dict[int, tuple[int, ...]]:
    """By rank, the sizes that a tensor of this shape may have in PyTorch, without the batch."""
    height, width, channels = shape
    line = {2: (channels, width)} if height == 1 else {}
    return {1: (prod(shape),), **line, 3: (channels, height, width)}


def arguments(node: fx.Node) -> dict[str, Any]:
    """The operator's arguments by name, defaults filled in."""
    schema = node.target._schema.arguments  # pyright: ignore
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    return {argument.name: argument.default_value for argument in schema} | given | node.kwargs


def _pair(values: int | list[int], value: Activation, down: int = 1) -> tuple[int, int]:
    """(height, width) from one number or two; for a tensor without height `down` and the one number."""
    values = [values] if isinstance(values, int) else list(values)
    return down if value.rank == 2 else values[0], values[-1]


def _spatial(node: fx.Node, value: Activation) -> None:
    if value.flat:
        raise unsupported(node, "its input must not be flattened")
    if any(value.padding) and node.target not in CONVS:
        raise unsupported(node, "a pad must be followed by convolutions")


def _quantised(node: fx.Node, value: Activation) -> Quantisation:
    if value.quantisation is None:
        raise unsupported(node, "its input must be int8: quantise with AcceleratorQuantizer")
    return value.quantisation


def _constant(node: fx.Node, attribute: object) -> np.ndarray:
    """The tensor behind a get_attr node."""
    if not isinstance(attribute, fx.Node) or attribute.op != "get_attr":
        raise unsupported(node, f"its parameter {attribute} must be a constant")
    tensor = node.graph.owning_module
    for part in str(attribute.target).split("."):
        tensor = getattr(tensor, part)
    return tensor.detach().cpu().numpy()  # pyright: ignore


def _padding(padding: Any, span: tuple[int, int], value: Activation) -> Padding:
    """(top, left, bottom, right), with that of a pad before. "same" puts the odd pixel at the bottom right, as PyTorch does.

    span  height and width of the pixels under the kernel
    """
    if padding == "same":
        top, left = (span[0] - 1) // 2, (span[1] - 1) // 2
        own = top, left, span[0] - 1 - top, span[1] - 1 - left
    else:
        height, width = (0, 0) if padding == "valid" else _pair(padding, value, down=0)
        own = height, width, height, width
    top, left, bottom, right = (sum(both) for both in zip(own, value.padding, strict=True))
    return top, left, bottom, right


def padded(node: fx.Node, value: Activation) -> Padding:
    """Pixels around an activation behind a pad."""
    given = arguments(node)
    pairs = list(zip(given["pad"][::2], given["pad"][1::2], strict=True))  # the last dimension's first
    if given["mode"] != "constant" or given["value"] not in (None, 0):
        raise unsupported(node, "must pad with 0")
    if value.flat or len(pairs) >= value.rank or min(given["pad"]) < 0:
        raise unsupported(node, f"must pad height and width, and cut nothing off, not {given['pad']}")
    (left, right), (top, bottom) = [*pairs, (0, 0)][:2]
    before = value.padding
    return before[0] + top, before[1] + left, before[2] + bottom, before[3] + right


def _parameters(node: fx.Node, given: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights int8 as the node has them, their scales [out] and the bias [out], both real numbers."""
    dequantise = given["weight"]
    if not isinstance(dequantise, fx.Node) or dequantise.target is not _DEQUANTISE_WEIGHT:
        raise unsupported(node, "its weights must be int8 per output channel: quantise with AcceleratorQuantizer")
    scale = _constant(node, dequantise.args[1]).astype(np.float64)
    bias = np.zeros(len(scale)) if given["bias"] is None else _constant(node, given["bias"]).astype(np.float64)
    return _constant(node, dequantise.args[0]), scale, bias


def _read_mac(node: fx.Node, name: str, value: Activation) -> Pending:
    """Convolution or dense layer."""
    given = arguments(node)
    weight, scale, bias = _parameters(node, given)
    operator, more = Conv, dict[str, Any]()
    if node.target in CONVS:
        _spatial(node, value)
        if value.rank == 2:
            weight = weight[:, :, np.newaxis]
        operator, more = conv_of_groups(given["groups"], value.shape[2], len(weight))
        stride, dilation = _pair(given["stride"], value), _pair(given["dilation"], value)
        if max(stride) > MOST_STRIDE:
            raise unsupported(node, f"stride must be at most {MOST_STRIDE}, not {max(stride)}")
        padding = _padding(given["padding"], span_of(weight.shape[2:], dilation), value)
        more |= {"stride": stride, "padding": padding, "dilation": dilation}
        if operator is Depthwise and weight[0].size == 1:
            weight, scale = of_any_size(weight, scale)
    else:
        if not value.flat:
            raise unsupported(node, "its input must be flattened first")
        height, width, channels = value.shape
        weight = weight.reshape(-1, channels, height, width)
    parameters = weight.transpose(0, 2, 3, 1), scale, bias
    make = partial(operator.integer, name, value.source, *parameters, _quantised(node, value), **more)
    return Pending(make, (value.shape,))


def _read_transposed(node: fx.Node, name: str, value: Activation) -> Pending:
    """Its weights are [in, out, height, width]."""
    given = arguments(node)
    _spatial(node, value)
    if given["groups"] != 1 or max(given["dilation"]) > 1:
        raise unsupported(node, f"groups and dilation must be 1, not {given['groups']} and {given['dilation']}")
    weight, scale, bias = _parameters(node, given)
    if value.rank == 2:
        weight = weight[:, :, np.newaxis]
    stride = _pair(given["stride"], value)
    (top, left), (below, after) = (_pair(given[what], value, down=0) for what in ("padding", "output_padding"))
    padding = top, left, top - below, left - after
    if fault := fault_of(weight.shape[2:], stride, padding):
        raise unsupported(node, fault)
    parameters = weight.transpose(1, 2, 3, 0), scale, bias, _quantised(node, value)
    make = partial(Transposed.integer, name, value.source, *parameters, stride=stride, padding=padding)
    return Pending(make, (value.shape,))


def _read_block(node: fx.Node, name: str, value: Activation) -> Upsample | DepthToSpace:
    """Nearest upsampling, or a pixel shuffle."""
    _spatial(node, value)
    if node.target not in UPSAMPLES:
        return DepthToSpace(name, value.source, arguments(node)["upscale_factor"], 1)
    height, width = (1, *node.meta["val"].shape[2:])[-2:]
    factors = height // value.shape[0], width // value.shape[1]
    given = arguments(node)["scale_factors"] or factors[-len(node.meta["val"].shape[2:]) :]
    exact = (height, width) == (value.shape[0] * factors[0], value.shape[1] * factors[1])
    if not exact or list(given) != list(factors[-len(given) :]):
        raise unsupported(node, f"its factors must be whole numbers: from {list(value.shape[:2])} to {[height, width]}")
    return Upsample(name, value.source, factors)


def _window(given: dict[str, Any], value: Activation) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """Kernel and stride of a pooling, both (height, width), and its padding.

    With `ceil_mode` a last window may reach beyond the input and its padding, but must begin before them.
    """
    shape, kernel = value.shape, _pair(given["kernel_size"], value)
    stride = _pair(given["stride"], value) if given["stride"] else kernel
    around, beyond = _pair(given["padding"], value, down=0), [0, 0]
    for axis in (0, 1) if given["ceil_mode"] else ():
        size = shape[axis] + 2 * around[axis]
        more = -(size - kernel[axis]) % stride[axis]
        if more and size - kernel[axis] + more < shape[axis] + around[axis]:
            beyond[axis] = more
    padding = *around, around[0] + beyond[0], around[1] + beyond[1]
    return kernel, stride, padding


def _read_max_pool(node: fx.Node, name: str, value: Activation) -> MaxPool:
    given = arguments(node)
    _spatial(node, value)
    if node.target in MAXIMA:
        _over_pixels(node, value, given["dim"])
        return MaxPool(name, value.source, value.shape[:2], (1, 1))
    if set(given["dilation"]) != {1}:
        raise unsupported(node, f"dilation must be 1, not {given['dilation']}")
    return MaxPool(name, value.source, *_window(given, value))


def _over_pixels(node: fx.Node, value: Activation, given: list[int] | None) -> None:
    """Refuse a mean or maximum that is not over all pixels."""
    expected = list(range(2, value.rank + 1))
    if sorted(dim % (value.rank + 1) for dim in given or ()) != expected:
        raise unsupported(node, f"must be over all pixels, dimensions {expected}, not {given}")


def _average_window(
    node: fx.Node, given: dict[str, Any], value: Activation
) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """As `_window`, of any average."""
    size = value.shape[:2]
    if node.target in MEANS:
        _over_pixels(node, value, given["dim"])
        if given["dtype"] is not None:
            raise unsupported(node, f"dtype must be None, not {given['dtype']}")
        return size, (1, 1), (0, 0, 0, 0)
    if node.target in _ADAPTIVE:
        out = _pair(given["output_size"], value)
        if size[0] % out[0] or size[1] % out[1]:
            raise unsupported(node, f"its input {list(size)} must be a multiple of its output {list(out)}")
        kernel = size[0] // out[0], size[1] // out[1]
        return kernel, kernel, (0, 0, 0, 0)
    if given.get("divisor_override") is not None:
        raise unsupported(node, f"divisor_override must be None, not {given['divisor_override']}")
    kernel, stride, padding = _window(given, value)
    if any(padding) and not given["count_include_pad"]:
        raise unsupported(node, "padding must count: count_include_pad must be True")
    if padding[:2] != padding[2:]:
        raise unsupported(node, "ceil_mode must be False where a window then reaches beyond the input")
    return kernel, stride, padding


def _read_average_pool(node: fx.Node, name: str, value: Activation) -> Pending:
    """Average pool, adaptive or not, or mean over both directions."""
    given = arguments(node)
    _spatial(node, value)
    kernel, stride, padding = _average_window(node, given, value)
    stride = least_stride(value.shape, kernel, stride, padding)
    make = partial(integer_average, name, value.source, kernel, stride, _quantised(node, value), padding=padding)
    return Pending(make, (value.shape,))


def _read_add(node: fx.Node, name: str, value: Activation, other: object = None) -> Pending:
    if not isinstance(other, Activation):
        raise unsupported(node, f"both of its inputs must be activations, not {arguments(node)['other']}")
    if arguments(node)["alpha"] != 1:
        raise unsupported(node, f"alpha must be 1, not {arguments(node)['alpha']}")
    if (value.shape, value.rank) != (other.shape, other.rank):
        raise unsupported(node, f"its inputs must have one shape, not {value.shape} and {other.shape}")
    if any(value.padding) or any(other.padding):
        raise unsupported(node, "a pad must be followed by convolutions")
    quantisations = _quantised(node, value), _quantised(node, other)
    make = partial(integer_add, name, (value.source, other.source), quantisations)
    return Pending(make, (value.shape, other.shape))


def _read_multiply(node: fx.Node, name: str, value: Activation, other: object = None) -> Pending:
    """The one of one pixel, if any, comes second."""
    if not isinstance(other, Activation):
        raise unsupported(node, f"both of its inputs must be activations, not {node.args[1]}")
    if any(value.padding) or any(other.padding):
        raise unsupported(node, "a pad must be followed by convolutions")
    first, second = sorted((value, other), key=lambda each: -prod(each.shape[:2]))
    if first.rank != second.rank or second.shape not in (first.shape, (1, 1, first.shape[2])):
        shapes = f"{value.shape} and {other.shape}"
        raise unsupported(node, f"its inputs must have one shape, or one of them one pixel, not {shapes}")
    quantisations = _quantised(node, first), _quantised(node, second)
    make = partial(integer_multiply, name, (first.source, second.source), quantisations)
    return Pending(make, (first.shape, second.shape))


def _read_concat(node: fx.Node, name: str, *values: Activation) -> Pending:
    for value in values:
        if value.flat and value.shape[:2] != (1, 1):
            raise unsupported(node, "its inputs must not be flattened, unless they have one pixel")
        if any(value.padding):
            raise unsupported(node, "a pad must be followed by convolutions")
    if (dim := arguments(node)["dim"] % (values[0].rank + 1)) != 1:
        raise unsupported(node, f"must be along dimension 1, not {dim}")
    sources, inputs = tuple(value.source for value in values), tuple(_quantised(node, value) for value in values)
    return Pending(partial(integer_concat, name, sources, inputs), tuple(value.shape for value in values))


def _read_cut(node: fx.Node, name: str, value: Activation) -> Cut:
    given = arguments(node)
    dim, channels = given["dim"] % (value.rank + 1), value.shape[2]
    if dim != 1 or given["step"] != 1 or any(value.padding) or (value.flat and value.shape[:2] != (1, 1)):
        raise unsupported(node, f"must be of channels, dimension 1, in steps of 1, not of dimension {dim}")
    first, end, _ = slice(given["start"], given["end"]).indices(channels)
    if end <= first:
        raise unsupported(node, f"must leave a channel, not {first}..{end - 1}")
    return Cut(name, value.source, first, end - first)


def _read_function(node: fx.Node, name: str, value: Activation) -> Pending:
    """A function of one number: PyTorch's own operator gives the table."""

    def function(real: np.ndarray) -> np.ndarray:
        return node.target(torch.from_numpy(real), *node.args[1:], **node.kwargs).numpy()  # pyright: ignore

    return Pending(partial(integer_table, name, value.source, function, _quantised(node, value)), (value.shape,))


READERS: dict[object, Callable[..., Pending | Layer]] = {
    target: read
    for targets, read in (
        (MACS - TRANSPOSED, _read_mac),
        (TRANSPOSED, _read_transposed),
        (BLOCKS, _read_block),
        (AVERAGES, _read_average_pool),
        (ADDS, _read_add),
        (MULTIPLIES, _read_multiply),
        (POOLS, _read_max_pool),
        (CONCATS, _read_concat),
        (CUTS, _read_cut),
        (FUNCTIONS, _read_function),
    )
    for target in targets
}
"""The reader of each operator. It takes the node, the layer's name and the inputs' values, the first of them int8.

A reader that returns a whole layer is of an operator that acts on int8 as on real numbers: the output has the input's
quantisation.
"""


def clamped(node: fx.Node, value: Pending) -> Pending:
    """`value` with the clamp of the node's activation function."""
    lo, hi = 0.0, inf
    if node.target in _RELU6:
        hi = 6.0
    elif node.target in _HARDTANH:
        lo, hi = float(arguments(node)["min_val"]), float(arguments(node)["max_val"])
    return replace(value, lo=lo, hi=hi)
