"""Readers of an ONNX file's operators: each makes a layer, all but its output's quantisation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from deeplock.pymodel.frontends import functions
from deeplock.pymodel.frontends.draft import Activation, Pending, conv_of_integers, product_of
from deeplock.pymodel.frontends.onnx.graph import Node
from deeplock.pymodel.frontends.onnx.parts import part_of
from deeplock.pymodel.frontends.onnx.upsampling import apart, cuts_of, factors_of
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.add import integer_add
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.network.operators.concat import integer_concat
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.grouped import conv_of_groups
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.network.operators.transposed import Transposed, fault_of
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.tensor import Padding, Shape, halves_of_same, least_stride, span_of

__all__ = ["READERS", "RESHAPES", "Constant", "clamp", "padded", "reshaped", "sizes_of"]

_BIAS_SCALE = 1e-3
"""Largest relative difference of a bias's scale from that of the accumulator: far above float32's rounding."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant of the file, quantised (`scale` float64 [1] or [channels along `axis`], zero point 0) or not (None)."""

    data: np.ndarray
    scale: np.ndarray | None = None
    axis: int = 0


Operand = Activation | Constant | None
RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that move no byte."""


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
        raise node.unsupported("its input must be [n, channels, height, width] or [n, channels, width]")
    if any(value.padding) and node.kind != "Conv":
        raise node.unsupported("a Pad must be followed by convolutions")


def _pair(node: Node, attribute: str, value: Activation) -> tuple[int, int]:
    """(height, width) of an attribute that has a number for each, by default 1."""
    found = node.attributes.get(attribute) or [1] * (value.rank - 1)
    down, right = found if value.rank == 3 else (1, *found)
    return down, right


def _window(node: Node, value: Activation, kernel: tuple[int, int]) -> tuple[tuple[int, int], Padding]:
    """Stride and padding of a convolution or pooling; the padding has that of a Pad before.

    kernel  height and width of the pixels under it
    """
    given: dict[str, Any] = node.attributes
    if given.get("ceil_mode", 0):
        raise node.unsupported("ceil_mode must be 0")
    down, right = _pair(node, "strides", value)
    if not 1 <= min(down, right) <= max(down, right) <= MOST_STRIDE:
        raise node.unsupported(f"strides must be 1 to {MOST_STRIDE}, not {[down, right]}")
    auto = given.get("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        small, large = halves_of_same(value.shape[:2], kernel, (down, right))
        first, last = (small, large) if auto == "SAME_UPPER" else (large, small)
        own = first[0], first[1], last[0], last[1]
    else:
        pads = given.get("pads") or [0] * (2 * value.rank - 2)
        pads = pads if value.rank == 3 else (0, pads[0], 0, pads[1])
        own = (0, 0, 0, 0) if auto == "VALID" else pads
    top, left, bottom, after = (sum(both) for both in zip(own, value.padding, strict=True))
    return (down, right), (top, left, bottom, after)


def _read_conv(node: Node, name: str, value: Activation, weights: Operand = None, bias: Operand = None) -> Pending:
    _spatial(node, value)
    weight, scale = _weights(node, weights, 0)
    groups = node.attributes.get("group", 1)
    if weight.ndim != value.rank + 1 or weight.shape[1] * groups != value.shape[2] or len(weight) % groups:
        sizes = f"its weights are {list(weight.shape)}, in {groups} groups, its input has {value.shape[2]} channels"
        raise node.unsupported(sizes)
    weight = weight.reshape(*weight.shape[:2], *(1, *weight.shape[2:])[-2:])
    dilation = _pair(node, "dilations", value)
    if min(dilation) < 1:
        raise node.unsupported(f"dilations must be 1 or more, not {list(dilation)}")
    stride, padding = _window(node, value, span_of(weight.shape[2:], dilation))
    operator, more = conv_of_groups(groups, value.shape[2], len(weight))
    more |= {"stride": stride, "padding": padding, "dilation": dilation}
    found = _bias(node, bias, value.quantisation.scale * scale, len(weight))
    weight = weight.transpose(0, 2, 3, 1)
    make = partial(conv_of_integers, operator, name, value, weight, scale, found, **more)
    return Pending(name, make, (value,), rank=value.rank)


def _read_transposed(
    node: Node, name: str, value: Activation, weights: Operand = None, bias: Operand = None
) -> Pending:
    """Its weights are [in, out, height, width]."""
    _spatial(node, value)
    weight, scale = _weights(node, weights, 1)
    stride, dilation = (_pair(node, what, value) for what in ("strides", "dilations"))
    if (node.attributes.get("group", 1), *dilation) != (1, 1, 1):
        raise node.unsupported(
            f"group and dilations must be 1, not {node.attributes.get('group', 1)} and {list(dilation)}"
        )
    if weight.ndim != value.rank + 1 or len(weight) != value.shape[2]:
        raise node.unsupported(f"its weights are {list(weight.shape)}, its input has {value.shape[2]} channels")
    axes = value.rank - 1
    cuts = cuts_of(node, weight.shape[2:], value.shape[:2][-axes:])
    (top, bottom), (left, right) = [(0, 0), *cuts][-2:]
    weight = weight.reshape(*weight.shape[:2], *(1, *weight.shape[2:])[-2:])
    padding = top, left, bottom, right
    if fault := fault_of(weight.shape[2:], stride, padding):
        raise node.unsupported(fault)
    found = _bias(node, bias, value.quantisation.scale * scale, weight.shape[1])
    parameters = weight.transpose(1, 2, 3, 0), scale, found
    make = partial(conv_of_integers, Transposed, name, value, *parameters, stride=stride, padding=padding)
    return Pending(name, make, (value,), rank=value.rank)


def _read_resize(node: Node, name: str, value: Activation, *operands: Operand) -> Layer:
    """Its region of interest, scales and sizes are inputs."""
    _spatial(node, value)
    _, scales, sizes = (each.data if isinstance(each, Constant) else None for each in (*operands, None, None, None)[:3])
    factors = factors_of(node, (1, *sizes_of(value.shape)[value.rank]), scales, sizes)
    return Upsample(name, value.source, ((1, *factors[2:])[-2], factors[-1]))


def _read_blocks(node: Node, name: str, value: Activation) -> Layer:
    _spatial(node, value)
    size = node.attributes["blocksize"]
    if value.rank != 3 or value.shape[2] % size**2:
        raise node.unsupported(f"its input must be [n, channels, height, width], channels a multiple of {size**2}")
    return DepthToSpace(name, value.source, size, apart(node))


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
    return Pending(name, partial(conv_of_integers, Conv, name, value, weight, scale, found), (value,), rank=1)


def _pool(node: Node, value: Activation) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    """Kernel, stride and padding of a pooling."""
    _spatial(node, value)
    if set(node.attributes.get("dilations", [1])) != {1}:
        raise node.unsupported(f"dilations must be 1, not {node.attributes['dilations']}")
    tall, wide = _pair(node, "kernel_shape", value)
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
    return Pending(name, make, (value,), rank=value.rank)


def _over_pixels(node: Node, value: Activation, axes: Operand) -> int:
    """The rank of a mean or maximum, which must be over all pixels. Axes are an attribute or, from opset 18 on, an input."""
    _spatial(node, value)
    if not node.kind.startswith("Reduce"):
        return value.rank
    given = axes.data.tolist() if isinstance(axes, Constant) else node.attributes.get("axes", [])
    expected = list(range(2, value.rank + 1))
    if sorted(axis % (value.rank + 1) for axis in given) != expected:
        raise node.unsupported(f"must be over height and width, dimensions {expected}, not {given}")
    return value.rank if node.attributes.get("keepdims", 1) else 1


def _read_mean(node: Node, name: str, value: Activation, axes: Operand = None) -> Pending:
    rank = _over_pixels(node, value, axes)
    make = partial(integer_average, name, value.source, value.shape[:2], (1, 1), value.quantisation)
    return Pending(name, make, (value,), rank=rank)


def _read_maximum(node: Node, name: str, value: Activation, axes: Operand = None) -> Layer:
    if _over_pixels(node, value, axes) != value.rank:
        raise node.unsupported("keepdims must be 1")
    return MaxPool(name, value.source, value.shape[:2], (1, 1))


def _of_channels(node: Node, value: Activation) -> None:
    """Refuse an activation whose dimension 1 is not its channels."""
    if value.flat and value.shape[:2] != (1, 1):
        raise node.unsupported("must be of channels: its input is flattened")
    if any(value.padding):
        raise node.unsupported("a Pad must be followed by convolutions")


def _read_concat(node: Node, name: str, *values: Operand) -> Pending:
    found = tuple(value for value in values if isinstance(value, Activation))
    if len(found) < len(values):
        raise node.unsupported("all of its inputs must be activations")
    for value in found:
        _of_channels(node, value)
    rank = found[0].rank
    if node.attributes["axis"] % (rank + 1) != 1:
        raise node.unsupported(f"must be along the channels, dimension 1, not along {node.attributes['axis']}")
    sources, inputs = tuple(value.source for value in found), tuple(value.quantisation for value in found)
    return Pending(name, partial(integer_concat, name, sources, inputs), found, rank=rank)


def _read_slice(node: Node, name: str, value: Activation, *operands: Operand) -> Layer:
    """Its starts, ends, axes and steps are inputs; of channels alone, in steps of 1."""
    _of_channels(node, value)
    given = [each.data.reshape(-1).tolist() for each in operands if isinstance(each, Constant)]
    starts, ends, *more = given
    axes, steps = (*more, *([0], [1])[len(more) :])
    if [axis % (value.rank + 1) for axis in axes] != [1] or steps != [1] or not len(starts) == len(ends) == 1:
        raise node.unsupported(f"must be of channels, dimension 1, alone, in steps of 1, not of {axes} in {steps}")
    first, end, _ = slice(starts[0], ends[0]).indices(value.shape[2])
    if end <= first:
        raise node.unsupported(f"must leave a channel, not {first}..{end - 1}")
    return Cut(name, value.source, first, end - first)


def _read_split(node: Node, name: str, value: Activation, sizes: Operand = None) -> Layer:
    """One of its outputs."""
    _of_channels(node, value)
    shape = (1, *sizes_of(value.shape)[value.rank])
    return Cut(name, value.source, *part_of(node, shape, sizes.data if isinstance(sizes, Constant) else None))


def _read_add(node: Node, name: str, value: Activation, other: Operand = None) -> Pending:
    if not isinstance(other, Activation):
        raise node.unsupported("both of its inputs must be activations")
    if (value.shape, value.rank) != (other.shape, other.rank):
        raise node.unsupported(f"its inputs must have one shape, not {list(value.shape)} and {list(other.shape)}")
    make = partial(integer_add, name, (value.source, other.source), (value.quantisation, other.quantisation))
    return Pending(name, make, (value, other), rank=value.rank)


def _read_multiply(node: Node, name: str, value: Activation, other: Operand = None) -> Pending:
    if not isinstance(other, Activation):
        raise node.unsupported("both of its inputs must be activations")
    found = product_of(name, value, other)
    if found is None or value.rank != other.rank or any(value.padding) or any(other.padding):
        shapes = f"{list(value.shape)} and {list(other.shape)}"
        raise node.unsupported(f"its inputs must have one shape, or one of them one pixel, not {shapes}")
    return found


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
    return Pending(name, make, (value,), rank=value.rank)


READERS: dict[str, Callable[..., Pending | Layer]] = {
    "Conv": _read_conv,
    "ConvTranspose": _read_transposed,
    "Gemm": _read_dense,
    "MatMul": _read_dense,
    "MaxPool": _read_max_pool,
    "AveragePool": _read_average_pool,
    "GlobalAveragePool": _read_mean,
    "ReduceMean": _read_mean,
    "GlobalMaxPool": _read_maximum,
    "ReduceMax": _read_maximum,
    "Add": _read_add,
    "Mul": _read_multiply,
    "Concat": _read_concat,
    "Slice": _read_slice,
    "Split": _read_split,
    "Resize": _read_resize,
    "DepthToSpace": _read_blocks,
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


def padded(node: Node, value: Activation, *operands: Operand) -> Padding:
    """Pixels (top, left, bottom, right) around an activation behind a Pad. Its pads and value are inputs, from opset 11 on."""
    pads, *more = [each.data.reshape(-1) for each in operands if isinstance(each, Constant)] or [np.zeros(0)]
    size = value.rank + 1
    if node.attributes.get("mode", b"constant") != b"constant" or any(each.any() for each in more[:1]) or len(more) > 1:
        raise node.unsupported("must pad all dimensions with 0")
    if value.flat or pads.shape != (2 * size,) or pads.min() < 0 or pads[[0, 1, size, size + 1]].any():
        raise node.unsupported(f"must pad height and width, and cut nothing off, not {pads.tolist()}")
    begins, ends = ((0, *pads[first : first + size].tolist())[-2:] for first in (0, size))
    top, left, bottom, right = (sum(both) for both in zip((*begins, *ends), value.padding, strict=True))
    return top, left, bottom, right


def sizes_of(shape: Shape) -> dict[int, tuple[int, ...]]:
    """By rank, the sizes that a tensor of this shape may have in the file, without the batch."""
    height, width, channels = shape
    line = {2: (channels, width)} if height == 1 else {}
    return {1: (prod(shape),), **line, 3: (channels, height, width)}


def reshaped(node: Node, value: Activation, batch: int, operand: Constant | None = None) -> int:
    """Rank of an activation behind an operator of RESHAPES: that is all that these may change."""
    forms = sizes_of(value.shape)
    sizes = _sizes_made(node, list(forms[value.rank]), batch, operand)
    if tuple(sizes) != forms.get(len(sizes)):
        raise node.unsupported(f"must flatten to [n, {prod(value.shape)}], or undo that, not make it {sizes}")
    return len(sizes)


def _sizes_made(node: Node, sizes: list[int], batch: int, operand: Constant | None) -> list[int]:
    """What an operator of RESHAPES makes of a tensor of these sizes; all without the batch."""
    given = operand.data.reshape(-1).tolist() if operand else node.attributes.get("axes", [])
    if node.kind == "Flatten":
        if node.attributes.get("axis", 1) != 1:
            raise node.unsupported(f"axis must be 1, not {node.attributes['axis']}")
        return [prod(sizes)]
    if node.kind == "Unsqueeze":
        for axis in sorted(axis % (len(sizes) + 1 + len(given)) for axis in given):
            sizes.insert(axis - 1, 1)
        return sizes
    if node.kind == "Squeeze":
        places = {axis % (len(sizes) + 1) - 1 for axis in given}
        if any(place < 0 or sizes[place] != 1 for place in places):
            raise node.unsupported(f"must drop dimensions of 1, not {given} of {[batch, *sizes]}")
        return [size for place, size in enumerate(sizes) if place not in places]
    if operand is None:
        raise node.unsupported("its shape must be a constant")
    first, *made = given
    if first not in (0, -1, batch) or (first == -1 and -1 in made):
        raise node.unsupported(f"must keep the batch, not make it {first}")
    made = [sizes[place] if size == 0 else size for place, size in enumerate(made)]
    whole = prod(size for size in made if size != -1)
    return [prod(sizes) // max(1, whole) if size == -1 else size for size in made]
