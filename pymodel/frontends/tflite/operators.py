"""Readers of a TensorFlow Lite file's operators: each makes a layer, all but its output's quantisation.

What operators mean is what LiteRT's reference kernels do (tflite/kernels/internal/reference of its sources).
"""

from collections.abc import Callable
from functools import partial
from math import inf, prod

import numpy as np
import tflite

from deeplock.pymodel.frontends import functions
from deeplock.pymodel.frontends.draft import Activation, Pending, conv_of_integers, product_of
from deeplock.pymodel.frontends.tflite.graph import FAULTS, INT8, INT32, Operator, Tensor, named
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
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.network.operators.transposed import Transposed, fault_of
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.tensor import Padding, Shape, halves_of_same, least_stride, span_of

__all__ = ["CLAMPS", "READERS", "RESHAPES", "padded", "reshaped", "sizes_of"]

_fused = tflite.ActivationFunctionType
_FUSED = {_fused.NONE: (-inf, inf), _fused.RELU: (0.0, inf), _fused.RELU6: (0.0, 6.0), _fused.RELU_N1_TO_1: (-1.0, 1.0)}
CLAMPS = {"RELU": (0.0, inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
"""Operators that clamp, and to which real numbers."""
RESHAPES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
"""Operators that move no byte."""


def options(node: Operator, kind: type, *names: str) -> list:
    """These fields of the operator's options, numbers, which the schema's class reads."""
    if node.options is None:
        raise node.unsupported("its options are missing")
    found = kind()
    found.Init(node.options.Bytes, node.options.Pos)
    try:
        return [getattr(found, name)() for name in names]
    except FAULTS:
        raise node.unsupported("its options are not in the file") from None


def constant(node: Operator, number: int, what: str, type: int) -> Tensor:
    """The operator's input of that number, which must be a constant of that type."""
    tensor = node.inputs[number] if number < len(node.inputs) else None
    if tensor is None or tensor.data is None or tensor.type != type:
        found = "missing" if tensor is None else f"{named(tflite.TensorType, tensor.type).lower()} {tensor.name}"
        raise node.unsupported(
            f"its {what} must be a constant of {named(tflite.TensorType, type).lower()}, not {found}"
        )
    return tensor


def _data(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return tensor.data


def _clamp(node: Operator, function: int) -> tuple[float, float]:
    if function not in _FUSED:
        raise node.unsupported(f"its activation function must be none, ReLU or ReLU6, not {named(_fused, function)}")
    return _FUSED[function]


def _weights(node: Operator, rank: int, axis: int = 0) -> Tensor:
    """int8 of so many dimensions, symmetric, with one scale or one for each channel along `axis`."""
    weight = constant(node, 1, "weights", INT8)
    if len(weight.shape) != rank:
        raise node.unsupported(f"its weights must have {rank} dimensions, not {list(weight.shape)}")
    if len(weight.scale) not in (1, weight.shape[axis]) or (len(weight.scale) > 1 and weight.axis != axis):
        raise node.unsupported(f"its weights must have one scale, or one for each channel along dimension {axis}")
    if not (np.isfinite(weight.scale) & (weight.scale >= 0)).all() or weight.zero_point.any():
        raise node.unsupported("its weights must have zero point 0, and scales that are numbers")
    return weight


def _bias(node: Operator, out: int) -> np.ndarray:
    """int64 [out], in units of the accumulator."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros(out, np.int64)
    bias = _data(constant(node, 2, "bias", INT32))
    if bias.shape != (out,):
        raise node.unsupported(f"its bias must be [{out}], not {list(bias.shape)}")
    return bias.astype(np.int64)


def _around(
    node: Operator, padding: int, shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, int]
) -> Padding:
    """Pixels (top, left, bottom, right) that padding SAME or VALID puts around an input; the odd one at the bottom right."""
    if padding == tflite.Padding.VALID:
        return 0, 0, 0, 0
    if padding != tflite.Padding.SAME:
        raise node.unsupported(f"padding must be SAME or VALID, not {padding}")
    (top, left), (bottom, right) = halves_of_same(shape[:2], kernel, stride)
    return top, left, bottom, right


def _sum(around: Padding, more: Padding) -> Padding:
    """One padding around the other."""
    return around[0] + more[0], around[1] + more[1], around[2] + more[2], around[3] + more[3]


def _spatial(node: Operator, value: Activation) -> None:
    if value.rank != 3:
        raise node.unsupported("its input must be [1, height, width, channels]")


def _read_conv(node: Operator, name: str, value: Activation) -> Pending:
    """Convolution, depthwise or not. Depthwise weights are [1, height, width, channels] in the file."""
    _spatial(node, value)
    depthwise = node.kind == "DEPTHWISE_CONV_2D"
    kind = tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions
    padding, function, down, right = options(node, kind, "Padding", "FusedActivationFunction", "StrideH", "StrideW")
    below, beside = options(node, kind, "DilationHFactor", "DilationWFactor")
    if min(below, beside) < 1:
        raise node.unsupported(f"dilation must be 1 or more, not {[below, beside]}")
    if not 1 <= min(down, right) <= max(down, right) <= MOST_STRIDE:
        raise node.unsupported(f"strides must be 1 to {MOST_STRIDE}, not {[down, right]}")
    tensor = _weights(node, rank=4, axis=3 if depthwise else 0)
    weight = _data(tensor).transpose(3, 1, 2, 0) if depthwise else _data(tensor)
    channels, out, each = value.shape[2], len(weight), weight.shape[3]
    groups = channels if depthwise else channels // max(each, 1)
    if groups * each != channels or out % groups:
        raise node.unsupported(f"its weights are {list(tensor.shape)}, its input {list(value.shape)}: no groups")
    operator, more = conv_of_groups(groups, channels, out)
    size = value.shape[0] + value.padding[0] + value.padding[2], value.shape[1] + value.padding[1] + value.padding[3]
    span = span_of(weight.shape[1:3], (below, beside))
    around = _sum(_around(node, padding, size, span, (down, right)), value.padding)
    window = {"stride": (down, right), "padding": around, "dilation": (below, beside), **more}
    parameters = weight, tensor.scale, _bias(node, len(weight))
    make = partial(conv_of_integers, operator, name, value, *parameters, **window)
    return Pending(name, make, (value,)).clamped(*_clamp(node, function))


def _read_transposed(node: Operator, name: str, value: Activation) -> Pending:
    _spatial(node, value)
    padding, function, down, right = options(
        node, tflite.TransposeConvOptions, "Padding", "FusedActivationFunction", "StrideH", "StrideW"
    )
    tensor = _weights(node, rank=4)
    weight = _data(tensor)
    if weight.shape[3] != value.shape[2] or len(node.output.shape) != 4 or min(down, right) < 1:
        raise node.unsupported(
            f"its weights are {list(weight.shape)}, its input {list(value.shape)}, strides {[down, right]}"
        )
    kernel, sizes = weight.shape[1:3], node.output.shape[1:3]
    top, left, *_ = _around(node, padding, sizes, kernel, (down, right))
    bottom, after = (
        (size - 1) * step + each - first - out
        for size, step, each, first, out in zip(value.shape, (down, right), kernel, (top, left), sizes, strict=False)
    )
    around = top, left, bottom, after
    if fault := fault_of(kernel, (down, right), around):
        raise node.unsupported(fault)
    parameters = weight, tensor.scale, _bias(node, len(weight))
    make = partial(conv_of_integers, Transposed, name, value, *parameters, stride=(down, right), padding=around)
    return Pending(name, make, (value,)).clamped(*_clamp(node, function))


def _read_resize(node: Operator, name: str, value: Activation) -> Layer:
    _spatial(node, value)
    corners, _ = options(node, tflite.ResizeNearestNeighborOptions, "AlignCorners", "HalfPixelCenters")
    sizes = _data(constant(node, 1, "size", INT32)).reshape(-1).tolist()
    if corners or len(sizes) != 2 or any(new % old or not new for new, old in zip(sizes, value.shape, strict=False)):
        raise node.unsupported(
            f"must be to whole multiples, corners not aligned, not from {list(value.shape[:2])} to {sizes}"
        )
    return Upsample(name, value.source, (sizes[0] // value.shape[0], sizes[1] // value.shape[1]))


def _read_blocks(node: Operator, name: str, value: Activation) -> Layer:
    _spatial(node, value)
    (size,) = options(node, tflite.DepthToSpaceOptions, "BlockSize")
    if size < 1 or value.shape[2] % size**2:
        raise node.unsupported(f"its channels must be a multiple of {size}^2, not {value.shape[2]}")
    return DepthToSpace(name, value.source, size)


def _read_dense(node: Operator, name: str, value: Activation) -> Pending:
    """Behind a flatten too: the file's weights are in the order height, width, channels, as ours.

    One that keeps its input's dimensions takes the channels of each pixel on its own.
    """
    kind = tflite.FullyConnectedOptions
    function, order, keeps = options(node, kind, "FusedActivationFunction", "WeightsFormat", "KeepNumDims")
    weight = _weights(node, rank=2)
    if order != 0:
        raise node.unsupported("its weights must be in the default format")
    each = keeps and not value.flat
    window = (1, 1, value.shape[2]) if each else value.shape
    if weight.shape[1] != prod(window):
        raise node.unsupported(f"its weights are {list(weight.shape)}, its input has {prod(window)} features")
    kernel = _data(weight).reshape(-1, *window)
    make = partial(conv_of_integers, Conv, name, value, kernel, weight.scale, _bias(node, len(kernel)))
    return Pending(name, make, (value,), rank=value.rank if each else 1).clamped(*_clamp(node, function))


def _window(node: Operator, value: Activation) -> tuple[tuple[int, int], tuple[int, int], Padding, tuple[float, float]]:
    """Kernel, stride, padding and clamp of a pooling."""
    _spatial(node, value)
    kind = tflite.Pool2DOptions
    tall, wide, down, right = options(node, kind, "FilterHeight", "FilterWidth", "StrideH", "StrideW")
    padding, function = options(node, kind, "Padding", "FusedActivationFunction")
    if min(tall, wide, down, right) < 1:
        raise node.unsupported(f"kernel and stride must be 1 or more, not {[tall, wide]} and {[down, right]}")
    kernel = tall, wide
    around = _around(node, padding, value.shape, kernel, (down, right))
    return kernel, (down, right), around, _clamp(node, function)


def _read_max_pool(node: Operator, name: str, value: Activation) -> Layer:
    kernel, stride, around, clamp = _window(node, value)
    if clamp != (-inf, inf):
        raise node.unsupported("a maximum must have no activation function")
    return MaxPool(name, value.source, kernel, stride, around)


def _read_average_pool(node: Operator, name: str, value: Activation) -> Pending:
    kernel, stride, around, clamp = _window(node, value)
    if any(around):
        raise node.unsupported("an average must need no padding: LiteRT divides by the pixels inside")
    stride = least_stride(value.shape, kernel, stride)
    make = partial(integer_average, name, value.source, kernel, stride, value.quantisation)
    return Pending(name, make, (value,)).clamped(*clamp)


def _over_pixels(node: Operator, value: Activation) -> None:
    """Refuse a mean or maximum that is not over all pixels."""
    axes, expected = _data(constant(node, 1, "axes", INT32)).reshape(-1), list(range(1, value.rank))
    if not expected or sorted({int(axis) % (value.rank + 1) for axis in axes}) != expected:
        raise node.unsupported(f"must be over height and width, dimensions 1 and 2, not {axes.tolist()}")


def _read_mean(node: Operator, name: str, value: Activation) -> Pending:
    _over_pixels(node, value)
    make = partial(integer_average, name, value.source, value.shape[:2], (1, 1), value.quantisation)
    return Pending(name, make, (value,), rank=_rank(node))


def _read_maximum(node: Operator, name: str, value: Activation) -> Layer:
    _over_pixels(node, value)
    return MaxPool(name, value.source, value.shape[:2], (1, 1))


def _rank(node: Operator) -> int:
    """Of its output."""
    return len(node.output.shape) - 1


def _of_channels(node: Operator, *values: Activation) -> None:
    """Refuse activations whose last dimension is not their channels."""
    for value in values:
        if value.flat and value.shape[:2] != (1, 1):
            raise node.unsupported("must be of channels: its input is flattened")


def _read_concat(node: Operator, name: str, *values: Activation) -> Pending:
    axis, function = options(node, tflite.ConcatenationOptions, "Axis", "FusedActivationFunction")
    _of_channels(node, *values)
    if len(values) < len(node.inputs):
        raise node.unsupported("all of its inputs must be activations")
    if axis % (values[0].rank + 1) != values[0].rank:
        raise node.unsupported(f"must be along the channels, the last dimension, not along {axis}")
    sources, inputs = tuple(value.source for value in values), tuple(value.quantisation for value in values)
    make = partial(integer_concat, name, sources, inputs)
    return Pending(name, make, values, rank=_rank(node)).clamped(*_clamp(node, function))


def _read_slice(node: Operator, name: str, value: Activation) -> Layer:
    """SLICE, or STRIDED_SLICE in steps of 1."""
    _of_channels(node, value)
    whats = ("begin", "size") if node.kind == "SLICE" else ("begin", "end", "strides")
    starts, ends, *steps = (
        _data(constant(node, place, what, INT32)).reshape(-1).tolist() for place, what in enumerate(whats, 1)
    )
    shape = [1, *value.shape[3 - value.rank :]] if not value.flat else [1, value.shape[2]]
    if len(starts) != len(shape) or len(ends) != len(shape):
        raise node.unsupported(f"{whats[0]} and {whats[1]} must be [{len(shape)}]")
    if node.kind == "SLICE":
        ends = [size if each == -1 else start + each for start, each, size in zip(starts, ends, shape, strict=True)]
    else:
        masks = options(
            node, tflite.StridedSliceOptions, "BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"
        )
        if any(masks[2:]) or set(*steps) != {1}:
            raise node.unsupported("must be in steps of 1, without new, left out or shrunk dimensions")
        bits = [1 << axis for axis in range(len(shape))]
        starts = [0 if masks[0] & bit else start for bit, start in zip(bits, starts, strict=True)]
        ends = [size if masks[1] & bit else end for bit, end, size in zip(bits, ends, shape, strict=True)]
    found = [slice(*each).indices(size)[:2] for *each, size in zip(starts, ends, shape, strict=True)]
    if found[:-1] != [(0, size) for size in shape[:-1]]:
        raise node.unsupported("must be of channels, the last dimension, alone")
    first, end = found[-1]
    if end <= first:
        raise node.unsupported(f"must leave a channel, not {first}..{end - 1}")
    return Cut(name, value.source, first, end - first)


def _read_split(node: Operator, name: str, value: Activation) -> Layer:
    """One of its outputs."""
    _of_channels(node, value)
    axis = _data(constant(node, 2, "axis", INT32)).reshape(-1).tolist()
    if len(axis) != 1 or axis[0] % (value.rank + 1) != value.rank:
        raise node.unsupported(f"must be of channels, the last dimension, not {axis}")
    if not all(tensor.shape for tensor in (*node.before, node.output)):
        raise node.unsupported("its outputs must have shapes")
    first = sum(tensor.shape[-1] for tensor in node.before)
    if not 1 <= (channels := node.output.shape[-1]) <= value.shape[2] - first:
        raise node.unsupported(f"its outputs must be of {value.shape[2]} channels, not {channels} from {first} on")
    return Cut(name, value.source, first, channels)


def _read_add(node: Operator, name: str, value: Activation, other: Activation | None = None) -> Pending:
    if other is None:
        raise node.unsupported("both of its inputs must be activations")
    if (value.shape, value.rank) != (other.shape, other.rank):
        raise node.unsupported(f"its inputs must have one shape, not {list(value.shape)} and {list(other.shape)}")
    make = partial(integer_add, name, (value.source, other.source), (value.quantisation, other.quantisation))
    (function,) = options(node, tflite.AddOptions, "FusedActivationFunction")
    return Pending(name, make, (value, other), rank=value.rank).clamped(*_clamp(node, function))


def _read_multiply(node: Operator, name: str, value: Activation, other: Activation | None = None) -> Pending:
    """By a constant, it is a depthwise convolution of one pixel."""
    if other is None:
        found = _scaled(node, name, value)
    else:
        found = product_of(name, value, other)
        if found is None or value.rank != other.rank:
            shapes = f"{list(value.shape)} and {list(other.shape)}"
            raise node.unsupported(f"its inputs must have one shape, or one of them one pixel, not {shapes}")
    (function,) = options(node, tflite.MulOptions, "FusedActivationFunction")
    return found.clamped(*_clamp(node, function))


def _scaled(node: Operator, name: str, value: Activation) -> Pending:
    """An activation times a constant: a number, or one for each channel."""
    factor, channels = constant(node, 1, "second input", INT8), value.shape[2]
    _of_channels(node, value)
    if (
        len(factor.scale) != 1
        or any(size != 1 for size in factor.shape[:-1])
        or prod(factor.shape) not in (1, channels)
    ):
        raise node.unsupported(f"a constant must be one number, or one for each channel, not {list(factor.shape)}")
    real = np.broadcast_to(factor.scale * (_data(factor).reshape(-1).astype(float) - factor.zero_point), channels)
    weight, scale = of_any_size(np.sign(real).reshape(-1, 1, 1, 1), np.where(real == 0, 1, np.abs(real)))
    make = partial(conv_of_integers, Depthwise, name, value, weight, scale, np.zeros(channels, np.int64))
    return Pending(name, make, (value,), rank=value.rank)


_FUNCTIONS: dict[str, Callable[[Operator], Callable[[np.ndarray], np.ndarray]]] = {
    "LOGISTIC": lambda node: functions.sigmoid,
    "TANH": lambda node: np.tanh,
    "HARD_SWISH": lambda node: functions.hard_swish,
    "ELU": lambda node: functions.elu,
    "LEAKY_RELU": lambda node: partial(functions.leaky_relu, alpha=options(node, tflite.LeakyReluOptions, "Alpha")[0]),
    "GELU": lambda node: (
        functions.gelu_by_tanh if options(node, tflite.GeluOptions, "Approximate")[0] else functions.gelu
    ),
}
"""What each function of one number is, by the operator's options."""


def _read_function(node: Operator, name: str, value: Activation) -> Pending:
    make = partial(integer_table, name, value.source, _FUNCTIONS[node.kind](node), value.quantisation)
    return Pending(name, make, (value,), rank=value.rank)


READERS: dict[str, Callable[..., Pending | Layer]] = {
    "CONV_2D": _read_conv,
    "DEPTHWISE_CONV_2D": _read_conv,
    "TRANSPOSE_CONV": _read_transposed,
    "FULLY_CONNECTED": _read_dense,
    "MAX_POOL_2D": _read_max_pool,
    "AVERAGE_POOL_2D": _read_average_pool,
    "MEAN": _read_mean,
    "REDUCE_MAX": _read_maximum,
    "ADD": _read_add,
    "MUL": _read_multiply,
    "CONCATENATION": _read_concat,
    "SLICE": _read_slice,
    "STRIDED_SLICE": _read_slice,
    "SPLIT": _read_split,
    "SPLIT_V": _read_split,
    "RESIZE_NEAREST_NEIGHBOR": _read_resize,
    "DEPTH_TO_SPACE": _read_blocks,
    **dict.fromkeys(_FUNCTIONS, _read_function),
}
"""The reader of each operator that becomes a layer. It takes the node, the layer's name and the activations that it reads.

A reader that returns a whole layer is of an operator whose output has its input's quantisation.
"""


def padded(node: Operator, value: Activation) -> Padding:
    """Pixels (top, left, bottom, right) around an activation behind a PAD."""
    _spatial(node, value)
    amounts = _data(constant(node, 1, "paddings", INT32))
    if amounts.shape != (4, 2) or amounts.min() < 0 or amounts[[0, 3]].any():
        raise node.unsupported("must pad height and width only")
    (top, bottom), (left, right) = amounts[1:3].tolist()
    return _sum((top, left, bottom, right), value.padding)


def sizes_of(shape: Shape) -> dict[int, tuple[int, ...]]:
    """By rank, the sizes that a tensor of this shape may have in the file, without the batch."""
    line = {2: shape[1:]} if shape[0] == 1 else {}
    return {1: (prod(shape),), **line, 3: shape}


def reshaped(node: Operator, value: Activation) -> int:
    """Rank of an activation behind an operator of RESHAPES: that is all that it may change."""
    sizes = node.output.shape[1:]
    if sizes != sizes_of(value.shape).get(len(sizes)):
        raise node.unsupported(
            f"must flatten {list(value.shape)} to [{prod(value.shape)}], or undo that, not make it {list(sizes)}"
        )
    return len(sizes)
