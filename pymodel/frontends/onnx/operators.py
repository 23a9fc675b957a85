"""Readers of an ONNX file's operators: each makes a layer, all but its output's quantisation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from deeplock.pymodel.frontends import functions
from deeplock.pymodel.frontends.draft import Activation, Pending, conv_of_integers
from deeplock.pymodel.frontends.onnx.graph import Node
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.add import integer_add
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.spec.tensor import Padding, least_stride

__all__ = ["READERS", "Constant", "clamp", "reshaped"]

_BIAS_SCALE = 1e-3
"""Largest relative difference of a bias's scale from that of the accumulator: far above float32's rounding."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant of the file, quantised (`scale` float64 [1] or [channels along `axis`], zero point 0) or not (None)."""

    data: np.ndarray
    scale: np.ndarray | None = None
    axis: int = 0


Operand = Activation | Constant | None


def _weights(node: Node, operand: Operand, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 weights and their scales, of which there are as many as channels along dimension `channels`, or one."""
    if not isinstance(operand, Constant) or operand.scale is None or operand.data.dtype != np.int8:
        raise node.unsupported("its weights must be an int8 constant behind DequantizeLinear")
    many = len(operand.scale) > 1
    if many and (operand.axis % operand.data.ndim, len(operand.scale)) != (channels, operand.data.shape[channels]):
        raise node.unsupported(f"its weights must have one scale, or one for each channel along dimension {channels}")
    return operand.data, operand.scale


def _bias(node: Node, operand: Operand, unit: np.ndarray, out: int) -> np.ndarray:
    """int64 [out] in units of the accumulator, or float64 [out] if the file has it in float."""
    if operand is None:
        return np.zeros(out, np.int64)
    if not isinstance(operand, Constant) or operand.data.shape != (out,):
        raise node.unsupported(f"its bias must be a constant [{out}]")
    if operand.scale is None:
        return operand.data.astype(np.float64)
    if operand.data.dtype != np.int32 or (np.abs(operand.scale - unit) > _BIAS_SCALE * unit).any():
        raise node.unsupported("its bias must be int32, with the scale of its input times that of its weights")
    return operand.data.astype(np.int64)


def _spatial(node: Node, value: Activation) -> None:
    if value.flat:
        raise node.unsupported("its input must be [n, channels, height, width]")


def _window(node: Node, value: Activation, kernel: tuple[int, int]) -> tuple[tuple[int, int], Padding]:
    """Stride and padding of a convolution or pooling."""
    given: dict[str, Any] = node.attributes
    if set(given.get("dilations", [1])) != {1}:
        raise node.unsupported(f"dilations must be 1, not {given['dilations']}")
    if given.get("ceil_mode", 0):
        raise node.unsupported("ceil_mode must be 0")
    down, right = given.get("strides", (1, 1))
    if not 1 <= min(down, right) <= max(down, right) <= MOST_STRIDE:
        raise node.unsupported(f"strides must be 1 to {MOST_STRIDE}, not {[down, right]}")
    auto = given.get("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = zip(value.shape[:2], kernel, (down, right), strict=True)
        totals = [max((-(-size // step) - 1) * step + each - size, 0) for size, each, step in sizes]
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        first, last = (small, large) if auto == "SAME_UPPER" else (large, small)
        return (down, right), (first[0], first[1], last[0], last[1])
    top, left, bottom, after = given.get("pads", (0, 0, 0, 0))
    return (down, right), (0, 0, 0, 0) if auto == "VALID" else (top, left, bottom, after)


def _read_conv(node: Node, name: str, value: Activation, weights: Operand = None, bias: Operand = None) -> Pending:
    _spatial(node, value)
    weight, scale = _weights(node, weights, 0)
    groups = node.attributes.get("group", 1)
    if weight.ndim != 4 or weight.shape[1] * groups != value.shape[2]:
        raise node.unsupported(f"its weights are {list(weight.shape)}, its input has {value.shape[2]} channels")
    if groups != 1 and not groups == len(weight) == value.shape[2]:
        sizes = f"{value.shape[2]} input and {len(weight)} output channels"
        raise node.unsupported(f"group must be 1, or each group one channel in and out, not {groups} of {sizes}")
    stride, padding = _window(node, value, weight.shape[2:])
    operator = Conv if groups == 1 else Depthwise
    found = _bias(node, bias, value.quantisation.scale * scale, len(weight))
    weight = weight.transpose(0, 2, 3, 1)
    make = partial(conv_of_integers, operator, name, value, weight, scale, found, stride=stride, padding=padding)
    return Pending(name, make, (value,))


def _read_dense(node: Node, name: str, value: Activation, weights: Operand = None, bias: Operand = None) -> Pending:
    """Behind a flatten, the file's weights are in the order channels, height, width; ours in height, width, channels."""
    given = node.attributes
    if (given.get("alpha", 1.0), given.get("beta", 1.0), given.get("transA", 0)) != (1.0, 1.0, 0):
        raise node.unsupported("alpha and beta must be 1, transA 0")
    turned = bool(given.get("transB", 0))
    weight, scale = _weights(node, weights, 0 if turned else 1)
    weight = weight if turned else weight.T
    height, width, channels = value.shape
    if not value.flat or weight.ndim != 2 or weight.shape[1] != prod(value.shape):
        raise node.unsupported(f"its input must be [n, {weight.shape[-1]}]: flatten it first")
    found = _bias(node, bias, value.quantisation.scale * scale, len(weight))
    weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return Pending(name, partial(conv_of_integers, Conv, name, value, weight, scale, found), (value,), flat=True)


def _pool(node: Node, value: Activation) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """Kernel, stride and padding of a pooling."""
    _spatial(node, value)
    tall, wide = node.attributes["kernel_shape"]
    stride, padding = _window(node, value, (tall, wide))
    return (tall, wide), stride, padding


def _read_max_pool(node: Node, name: str, value: Activation) -> Layer:
    return MaxPool(name, value.source, *_pool(node, value))


def _read_average_pool(node: Node, name: str, value: Activation) -> Pending:
    kernel, stride, padding = _pool(node, value)
    if any(padding) and not node.attributes.get("count_include_pad", 0):
        raise node.unsupported("padding must count: count_include_pad must be 1")
    stride = least_stride(value.shape, kernel, stride, padding)
    make = partial(integer_average, name, value.source, kernel, stride, value.quantisation, padding=padding)
    return Pending(name, make, (value,))


def _read_mean(node: Node, name: str, value: Activation, axes: Operand = None) -> Pending:
    """Over height and width: GlobalAveragePool or ReduceMean, whose axes are an attribute or, from opset 18 on, an input."""
    _spatial(node, value)
    keeps = True
    if node.kind == "ReduceMean":
        given = axes.data.tolist() if isinstance(axes, Constant) else node.attributes.get("axes", [])
        if {axis % 4 for axis in given} != {2, 3}:
            raise node.unsupported(f"must be over height and width, dimensions 2 and 3, not {given}")
        keeps = bool(node.attributes.get("keepdims", 1))
    size = value.shape[:2]
    make = partial(integer_average, name, value.source, size, (1, 1), value.quantisation)
    return Pending(name, make, (value,), flat=not keeps)


def _read_add(node: Node, name: str, value: Activation, other: Operand = None) -> Pending:
    if not isinstance(other, Activation):
        raise node.unsupported("both of its inputs must be activations")
    if (value.shape, value.flat) != (other.shape, other.flat):
        raise node.unsupported(f"its inputs must have one shape, not {list(value.shape)} and {list(other.shape)}")
    make = partial(integer_add, name, (value.source, other.source), (value.quantisation, other.quantisation))
    return Pending(name, make, (value, other), flat=value.flat)


_FUNCTIONS: dict[str, Callable[[Node], Callable[[np.ndarray], np.ndarray]]] = {
    "Sigmoid": lambda node: functions.sigmoid,
    "Tanh": lambda node: np.tanh,
    "HardSwish": lambda node: functions.hard_swish,
    "HardSigmoid": lambda node: partial(
        functions.hard_sigmoid, alpha=node.attributes.get("alpha", 0.2), beta=node.attributes.get("beta", 0.5)
    ),
    "LeakyRelu": lambda node: partial(functions.leaky_relu, alpha=node.attributes.get("alpha", 0.01)),
    "Elu": lambda node: partial(functions.elu, alpha=node.attributes.get("alpha", 1.0)),
    "Gelu": lambda node: functions.gelu_by_tanh if node.attributes.get("approximate") == b"tanh" else functions.gelu,
}
"""What each function of one number is, by the node's attributes."""


def _read_function(node: Node, name: str, value: Activation) -> Pending:
    make = partial(integer_table, name, value.source, _FUNCTIONS[node.kind](node), value.quantisation)
    return Pending(name, make, (value,), value.flat)


READERS: dict[str, Callable[..., Pending | Layer]] = {
    "Conv": _read_conv,
    "Gemm": _read_dense,
    "MatMul": _read_dense,
    "MaxPool": _read_max_pool,
    "AveragePool": _read_average_pool,
    "GlobalAveragePool": _read_mean,
    "ReduceMean": _read_mean,
    "Add": _read_add,
    **dict.fromkeys(_FUNCTIONS, _read_function),
}
"""The reader of each operator that becomes a layer. It takes the node, the layer's name and the operands, first an activation.

A reader that returns a whole layer is of an operator whose output has its input's quantisation.
"""


def clamp(node: Node, *bounds: Operand) -> tuple[float, float]:
    """Real numbers to which Relu and Clip clamp. Clip's are inputs or, before opset 11, attributes."""
    if node.kind == "Relu":
        return 0.0, inf
    found = [node.attributes.get("min", -inf), node.attributes.get("max", inf)]
    for number, bound in enumerate(bounds):
        if bound is not None:
            if not isinstance(bound, Constant) or bound.scale is not None or bound.data.size != 1:
                raise node.unsupported("its bounds must be constants in float")
            found[number] = float(bound.data.reshape(()))
    return found[0], found[1]


def reshaped(node: Node, value: Activation, batch: int, operand: Constant | None = None) -> bool:
    """Whether an activation is [n, features] behind Flatten, Reshape or Squeeze: that is all that these may change."""
    height, width, channels = value.shape
    sizes = [prod(value.shape)]
    if node.kind == "Flatten" and node.attributes.get("axis", 1) != 1:
        raise node.unsupported(f"axis must be 1, not {node.attributes['axis']}")
    if node.kind == "Squeeze":
        axes = operand.data.tolist() if operand else node.attributes.get("axes", [])
        if value.flat or (height, width) != (1, 1) or {axis % 4 for axis in axes} != {2, 3}:
            raise node.unsupported("must drop height and width, both 1")
    if node.kind == "Reshape":
        if operand is None:
            raise node.unsupported("its shape must be a constant")
        first, *sizes = operand.data.tolist()
        if first not in (0, -1, batch) or (first == -1 and -1 in sizes):
            raise node.unsupported(f"must keep the batch, not make it {first}")
    if sizes in ([prod(value.shape)], [-1]):
        return True
    if sizes != [channels, height, width]:
        raise node.unsupported(f"must flatten to [n, {prod(value.shape)}], or undo that, not make it {sizes}")
    return False
