"""Readers of a PT2E graph's operators: each makes a layer, all but its output scale, from a node's arguments."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
import torch
from torch import fx

from deeplock.pymodel.frontends.quantizer import ADDS, AVERAGES, CONVS, FUNCTIONS, MACS, MEANS, POOLS, unsupported
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.add import integer_add
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.spec.tensor import Padding, Quantisation, Shape, least_stride

__all__ = ["READERS", "Activation", "Pending", "arguments", "clamped"]

_DEQUANTISE_WEIGHT = torch.ops.quantized_decomposed.dequantize_per_channel.default
_RELU6 = frozenset({torch.ops.aten.relu6.default, torch.ops.aten.relu6_.default})
_HARDTANH = frozenset({torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default})
_ADAPTIVE = torch.ops.aten.adaptive_avg_pool2d.default


@dataclass(frozen=True)
class Activation:
    """Ofmap of the layer `source`, or the ifmap "input"; int8 once it has its quantisation. `flat`: [n, features]."""

    source: str
    shape: Shape
    quantisation: Quantisation | None = None
    flat: bool = False


@dataclass(frozen=True)
class Pending:
    """A layer whose output scale is not known yet: sums that are still to be requantised.

    shapes  shapes of the tensors that the layer reads
    """

    make: Callable[..., Layer]
    shapes: tuple[Shape, ...]
    flat: bool
    lo: float = -inf
    hi: float = inf

    def requantised(self, output: Quantisation) -> tuple[Activation, Layer]:
        layer = self.make(output=output, lo=self.lo, hi=self.hi)
        return Activation(layer.name, layer.output_shape(*self.shapes), output, self.flat), layer


def arguments(node: fx.Node) -> dict[str, Any]:
    """The operator's arguments by name, defaults filled in."""
    schema = node.target._schema.arguments  # pyright: ignore
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    return {argument.name: argument.default_value for argument in schema} | given | node.kwargs


def _pair(values: int | list[int]) -> tuple[int, int]:
    """(height, width) from one number or two."""
    values = [values] if isinstance(values, int) else list(values)
    return values[0], values[-1]


def _spatial(node: fx.Node, value: Activation) -> None:
    if value.flat:
        raise unsupported(node, "its input must not be flattened")


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


def _padding(padding: Any, kernel: tuple[int, int]) -> Padding:
    """(top, left, bottom, right). "same" puts the odd pixel at the bottom right, as PyTorch does."""
    if padding == "same":
        top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
        return top, left, kernel[0] - 1 - top, kernel[1] - 1 - left
    height, width = (0, 0) if padding == "valid" else _pair(padding)
    return height, width, height, width


def _read_mac(node: fx.Node, name: str, value: Activation) -> Pending:
    """Convolution or dense layer."""
    given = arguments(node)
    dequantise = given["weight"]
    if not isinstance(dequantise, fx.Node) or dequantise.target is not _DEQUANTISE_WEIGHT:
        raise unsupported(node, "its weights must be int8 per output channel: quantise with AcceleratorQuantizer")
    weight = _constant(node, dequantise.args[0])
    scale = _constant(node, dequantise.args[1]).astype(np.float64)
    bias = np.zeros(len(weight)) if given["bias"] is None else _constant(node, given["bias"]).astype(np.float64)
    operator, stride, padding = Conv, (1, 1), (0, 0, 0, 0)
    if node.target in CONVS:
        _spatial(node, value)
        if given["groups"] != 1:
            if not given["groups"] == len(weight) == value.shape[2]:
                sizes = f"{value.shape[2]} input and {len(weight)} output channels"
                raise unsupported(
                    node, f"groups must be 1, or each group one channel in and out, not {given['groups']} of {sizes}"
                )
            operator = Depthwise
        _undilated(node, given)
        stride = _pair(given["stride"])
        if max(stride) > MOST_STRIDE:
            raise unsupported(node, f"stride must be at most {MOST_STRIDE}, not {max(stride)}")
        padding = _padding(given["padding"], weight.shape[2:])
    else:
        if not value.flat:
            raise unsupported(node, "its input must be flattened first")
        height, width, channels = value.shape
        weight = weight.reshape(-1, channels, height, width)
    make = partial(
        operator.integer,
        name,
        value.source,
        weight.transpose(0, 2, 3, 1),
        scale,
        bias,
        _quantised(node, value),
        stride=stride,
        padding=padding,
    )
    return Pending(make, (value.shape,), value.flat)


def _undilated(node: fx.Node, given: dict[str, Any]) -> None:
    if _pair(given["dilation"]) != (1, 1):
        raise unsupported(node, f"dilation must be 1, not {given['dilation']}")


def _window(given: dict[str, Any], shape: Shape) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """Kernel and stride of a pooling, both (height, width), and its padding.

    With `ceil_mode` a last window may reach beyond the input and its padding, but must begin before them.
    """
    kernel = _pair(given["kernel_size"])
    stride = _pair(given["stride"]) if given["stride"] else kernel
    around, beyond = _pair(given["padding"]), [0, 0]
    for axis in (0, 1) if given["ceil_mode"] else ():
        size = shape[axis] + 2 * around[axis]
        more = -(size - kernel[axis]) % stride[axis]
        if more and size - kernel[axis] + more < shape[axis] + around[axis]:
            beyond[axis] = more
    padding = *around, around[0] + beyond[0], around[1] + beyond[1]
    return kernel, stride, padding


def _read_max_pool(node: fx.Node, name: str, value: Activation) -> MaxPool:
    given = arguments(node)
    _undilated(node, given)
    return MaxPool(name, value.source, *_window(given, value.shape))


def _average_window(
    node: fx.Node, given: dict[str, Any], shape: Shape
) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """As `_window`, of any average."""
    size = shape[:2]
    if node.target in MEANS:
        dims = {dim % 4 for dim in given["dim"] or ()}
        if dims != {2, 3} or given["dtype"] is not None:
            raise unsupported(node, f"must be over both image dimensions, 2 and 3, not {given['dim']}")
        return size, (1, 1), (0, 0, 0, 0)
    if node.target is _ADAPTIVE:
        out = _pair(given["output_size"])
        if size[0] % out[0] or size[1] % out[1]:
            raise unsupported(node, f"its input {list(size)} must be a multiple of its output {list(out)}")
        kernel = size[0] // out[0], size[1] // out[1]
        return kernel, kernel, (0, 0, 0, 0)
    if given["divisor_override"] is not None:
        raise unsupported(node, f"divisor_override must be None, not {given['divisor_override']}")
    kernel, stride, padding = _window(given, shape)
    if any(padding) and not given["count_include_pad"]:
        raise unsupported(node, "padding must count: count_include_pad must be True")
    if padding[:2] != padding[2:]:
        raise unsupported(node, "ceil_mode must be False where a window then reaches beyond the input")
    return kernel, stride, padding


def _read_average_pool(node: fx.Node, name: str, value: Activation) -> Pending:
    """Average pool, adaptive or not, or mean over both directions."""
    given = arguments(node)
    _spatial(node, value)
    kernel, stride, padding = _average_window(node, given, value.shape)
    stride = least_stride(value.shape, kernel, stride, padding)
    make = partial(integer_average, name, value.source, kernel, stride, _quantised(node, value), padding=padding)
    return Pending(make, (value.shape,), node.target in MEANS and not given["keepdim"])


def _read_add(node: fx.Node, name: str, value: Activation, other: object = None) -> Pending:
    if not isinstance(other, Activation):
        raise unsupported(node, f"both of its inputs must be activations, not {arguments(node)['other']}")
    if arguments(node)["alpha"] != 1:
        raise unsupported(node, f"alpha must be 1, not {arguments(node)['alpha']}")
    if (value.shape, value.flat) != (other.shape, other.flat):
        raise unsupported(node, f"its inputs must have one shape, not {value.shape} and {other.shape}")
    quantisations = _quantised(node, value), _quantised(node, other)
    make = partial(integer_add, name, (value.source, other.source), quantisations)
    return Pending(make, (value.shape, other.shape), value.flat)


def _read_function(node: fx.Node, name: str, value: Activation) -> Pending:
    """A function of one number: PyTorch's own operator gives the table."""

    def function(real: np.ndarray) -> np.ndarray:
        return node.target(torch.from_numpy(real), *node.args[1:], **node.kwargs).numpy()  # pyright: ignore

    return Pending(
        partial(integer_table, name, value.source, function, _quantised(node, value)), (value.shape,), value.flat
    )


READERS: dict[object, Callable[..., Pending | Layer]] = {
    target: read
    for targets, read in (
        (MACS, _read_mac),
        (AVERAGES, _read_average_pool),
        (ADDS, _read_add),
        (POOLS, _read_max_pool),
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
