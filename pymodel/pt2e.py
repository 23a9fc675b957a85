"""From the graph that torchao's convert_pt2e makes, float operators between quantise and dequantise, to a `Network`."""

from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np
import torch
from torch import fx

from pymodel.errors import DeeplockError
from pymodel.fixed_point import integer_conv
from pymodel.network import Layer, MaxPool, Network, Quantisation, Shape, output_shape
from pymodel.quantizer import CLAMPS, CONVS, DROPOUTS, MACS, POOLS, RESHAPES, SYMBOLS, unsupported

__all__ = ["from_pt2e"]

_quantized = torch.ops.quantized_decomposed
_QUANTISE = _quantized.quantize_per_tensor.default
_DEQUANTISE = _quantized.dequantize_per_tensor.default
_DEQUANTISE_WEIGHT = _quantized.dequantize_per_channel.default

_RELU6 = frozenset({torch.ops.aten.relu6.default, torch.ops.aten.relu6_.default})
_HARDTANH = frozenset({torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default})


@dataclass(frozen=True)
class _Activation:
    """Ofmap of the layer `source`, or the ifmap "input"; int8 once it has its quantisation. `flat`: [n, features]."""

    source: str
    shape: Shape
    quantisation: Quantisation | None = None
    flat: bool = False


@dataclass(frozen=True)
class _Accumulator:
    """A convolution's sums, on their way to being requantised: the arguments of `integer_conv` so far."""

    name: str
    input: _Activation
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    lo: float = -inf
    hi: float = inf


_Value = _Activation | _Accumulator


def _arguments(node: fx.Node) -> dict[str, Any]:
    """The operator's arguments by name, defaults filled in."""
    schema = node.target._schema.arguments  # pyright: ignore
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    return {argument.name: argument.default_value for argument in schema} | given | node.kwargs


def _one(node: fx.Node, what: str, values: int | list[int]) -> int:
    """The number that holds in both directions."""
    distinct = set(values) if isinstance(values, list | tuple) else {values}
    if len(distinct) != 1:
        raise unsupported(node, f"{what} must be the same in both directions, not {list(values)}")  # pyright: ignore
    return distinct.pop()


def _constant(node: fx.Node, attribute: object) -> np.ndarray:
    """The tensor behind a get_attr node."""
    if not isinstance(attribute, fx.Node) or attribute.op != "get_attr":
        raise unsupported(node, f"its parameter {attribute} must be a constant")
    tensor = node.graph.owning_module
    for part in str(attribute.target).split("."):
        tensor = getattr(tensor, part)
    return tensor.detach().cpu().numpy()  # pyright: ignore


def _padding(node: fx.Node, padding: Any, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right). "same" puts the odd pixel at the bottom right, as PyTorch does."""
    if padding == "same":
        top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
        return top, left, kernel[0] - 1 - top, kernel[1] - 1 - left
    if padding == "valid":
        return 0, 0, 0, 0
    height, width = padding if len(padding) == 2 else (padding[0], padding[0])
    return height, width, height, width


def _read_mac(node: fx.Node, name: str, value: _Activation) -> _Accumulator:
    arguments = _arguments(node)
    dequantise = arguments["weight"]
    if not isinstance(dequantise, fx.Node) or dequantise.target is not _DEQUANTISE_WEIGHT:
        raise unsupported(node, "its weights must be int8 per output channel: quantise with AcceleratorQuantizer")
    weight = _constant(node, dequantise.args[0])
    scale = _constant(node, dequantise.args[1]).astype(np.float64)
    bias = np.zeros(len(weight)) if arguments["bias"] is None else _constant(node, arguments["bias"]).astype(np.float64)
    if node.target not in CONVS:
        if not value.flat:
            raise unsupported(node, "its input must be flattened first")
        height, width, channels = value.shape
        weight = weight.reshape(-1, channels, height, width)
        return _Accumulator(name, value, weight.transpose(0, 2, 3, 1), scale, bias)
    if value.flat:
        raise unsupported(node, "its input must not be flattened")
    if arguments["groups"] != 1:
        raise unsupported(node, f"groups must be 1, not {arguments['groups']}")
    if _one(node, "dilation", arguments["dilation"]) != 1:
        raise unsupported(node, f"dilation must be 1, not {arguments['dilation']}")
    stride = _one(node, "stride", arguments["stride"])
    if stride not in (1, 2):
        raise unsupported(node, f"stride must be 1 or 2, not {stride}")
    padding = _padding(node, arguments["padding"], weight.shape[2:])
    return _Accumulator(name, value, weight.transpose(0, 2, 3, 1), scale, bias, stride, padding)


def _read_pool(node: fx.Node, name: str, source: str) -> MaxPool:
    arguments = _arguments(node)
    for argument, only in (("padding", 0), ("dilation", 1)):
        if _one(node, argument, arguments[argument]) != only:
            raise unsupported(node, f"{argument} must be {only}, not {arguments[argument]}")
    if arguments["ceil_mode"]:
        raise unsupported(node, "ceil_mode must be False")
    kernel = _one(node, "kernel", arguments["kernel_size"])
    return MaxPool(name, source, kernel, _one(node, "stride", arguments["stride"]) if arguments["stride"] else kernel)


def _clamp(node: fx.Node, value: _Accumulator) -> _Accumulator:
    lo, hi = 0.0, inf
    if node.target in _RELU6:
        hi = 6.0
    elif node.target in _HARDTANH:
        lo, hi = float(_arguments(node)["min_val"]), float(_arguments(node)["max_val"])
    return replace(value, lo=lo, hi=hi)


def _read_quantisation(node: fx.Node) -> Quantisation:
    _, scale, zero_point, lowest, highest, dtype = node.args
    if (lowest, highest, dtype) != (-128, 127, torch.int8):
        raise unsupported(node, "activations must be int8, -128..127: quantise with AcceleratorQuantizer")
    return Quantisation(float(scale), int(zero_point))  # pyright: ignore


def _name(node: fx.Node, taken: set[str]) -> str:
    """The path of the module that the node comes from, or the node's own name where that is no name for a layer."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = stack[-1][0] if stack else ""
    return next(name for name in (path, node.name, f"{node.name}_") if name not in taken)


def _input_shape(node: fx.Node) -> Shape:
    shape = node.meta["val"].shape
    if len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
        raise DeeplockError(f"the network's input must be [n, channels, height, width], not {list(shape)}")
    channels, height, width = shape[1:]
    return height, width, channels


def _output(converted: fx.GraphModule, values: dict[fx.Node, _Value]) -> _Activation:
    results = next(node for node in converted.graph.nodes if node.op == "output").args[0]
    if len(results) != 1 or not isinstance(value := values.get(results[0]), _Activation):
        raise DeeplockError("the network must have one output, an activation")
    if value.flat and value.shape[0] * value.shape[1] > 1:
        raise DeeplockError("the network's output must not be flattened: the accelerator gives it in NHWC order")
    return value


def _step(node: fx.Node, value: _Value, name: str) -> tuple[_Value, Layer | None]:
    """What the node holds, given what its first argument holds, and the layer that it completes."""
    if node.target is _QUANTISE:
        quantisation = _read_quantisation(node)
        if isinstance(value, _Accumulator):
            source = value.input
            assert source.quantisation is not None
            layer = integer_conv(
                value.name,
                source.source,
                value.weight,
                value.weight_scale,
                value.bias,
                source.quantisation,
                quantisation,
                stride=value.stride,
                padding=value.padding,
                lo=value.lo,
                hi=value.hi,
            )
            return _Activation(layer.name, output_shape(layer, source.shape), quantisation, source.flat), layer
        if value.quantisation not in (None, quantisation):
            raise unsupported(node, "an int8 activation cannot be quantised again")
        return replace(value, quantisation=quantisation), None
    if node.target in CLAMPS and isinstance(value, _Accumulator):
        return _clamp(node, value), None
    if node.target in CLAMPS:
        raise unsupported(node, "must follow conv2d or linear, and be all that uses it")
    if isinstance(value, _Accumulator) or value.quantisation is None:
        raise unsupported(node, "its input must be int8: quantise with AcceleratorQuantizer")
    if node.target in MACS:
        return _read_mac(node, name, value), None
    if node.target in POOLS:
        layer = _read_pool(node, name, value.source)
        return _Activation(name, output_shape(layer, value.shape), value.quantisation), layer
    if node.target in RESHAPES:
        if tuple(node.meta["val"].shape[1:]) != (prod(value.shape),):
            raise unsupported(node, "must flatten to [n, channels * height * width]")
        return replace(value, flat=True), None
    if node.target in DROPOUTS and _arguments(node)["train"]:
        raise unsupported(node, "still in training mode: call move_exported_model_to_eval before convert_pt2e")
    if node.target in DROPOUTS or node.target is _DEQUANTISE:
        return value, None
    raise unsupported(node)


def from_pt2e(converted: fx.GraphModule, name: str, *, classes: tuple[str, ...] = (), dataset: str = "") -> Network:
    """The `Network` of a graph from convert_pt2e, prepared with `AcceleratorQuantizer`, PTQ or QAT.

    Layers are named by the path of their module ("features.conv1"), or by their graph node where there is none.
    `DeeplockError` names the operator and the node that the accelerator does not have.
    """
    values: dict[fx.Node, _Value] = {}
    layers: list[Layer] = []
    taken = {"", "input"}
    for node in converted.graph.nodes:
        if node.op == "placeholder":
            values[node] = _Activation("input", _input_shape(node))
        elif node.op == "call_function" and node.users and node.target not in SYMBOLS | {_DEQUANTISE_WEIGHT}:
            if node.args[0] not in values:
                raise unsupported(node)
            layer_name = _name(node, taken) if node.target in MACS | POOLS else ""
            values[node], layer = _step(node, values[node.args[0]], layer_name)
            taken.add(layer_name)
            layers += [layer] if layer else []
    output = _output(converted, values)
    if not layers or output.source != layers[-1].name:
        raise DeeplockError(f"the network's output must be its last layer, not {output.source}")
    ifmap = next(v for v in values.values() if isinstance(v, _Activation) and v.source == "input" and v.quantisation)
    assert ifmap.quantisation and output.quantisation
    return Network(name, ifmap.shape, ifmap.quantisation, output.quantisation, tuple(layers), classes, dataset)
