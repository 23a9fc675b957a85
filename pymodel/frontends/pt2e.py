"""Reads the graph that torchao's convert_pt2e makes (float operators between quantise and dequantise) into a `Network`."""

from dataclasses import replace

import torch
from torch import fx

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.operators import READERS, Activation, Pending, arguments, clamped, padded, sizes_of
from deeplock.pymodel.frontends.quantizer import (
    ADDS,
    CLAMPS,
    CONCATS,
    CUTS,
    DROPOUTS,
    MULTIPLIES,
    PADS,
    RESHAPES,
    SYMBOLS,
    origin,
    unsupported,
)
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.outputs import ending
from deeplock.pymodel.spec.tensor import Output, Quantisation, Shape

__all__ = ["from_pt2e"]

_quantized = torch.ops.quantized_decomposed
_QUANTISE = _quantized.quantize_per_tensor.default
_DEQUANTISE = _quantized.dequantize_per_tensor.default
_DEQUANTISE_WEIGHT = _quantized.dequantize_per_channel.default

_Value = Activation | Pending


def _read_quantisation(node: fx.Node) -> Quantisation:
    _, scale, zero_point, lowest, highest, dtype = node.args
    if (lowest, highest, dtype) != (-128, 127, torch.int8):
        raise unsupported(node, "activations must be int8, -128..127: quantise with AcceleratorQuantizer")
    return Quantisation(float(scale), int(zero_point))  # pyright: ignore


def _name(node: fx.Node, taken: set[str]) -> str:
    """Name of the node's layer: the path of its module or, if that is empty or taken, the node's name in the program."""
    own = origin(node).name
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = stack[-1][0] if stack else ""
    if path and node.target in ADDS | MULTIPLIES | CONCATS | CUTS:
        path = f"{path}.{own}"  # these have no module, only one around them
    return next(name for name in (path, own, node.name, f"{node.name}_") if name not in taken)


def _input_shape(node: fx.Node) -> Shape:
    shape = node.meta["val"].shape
    if not 2 <= len(shape) <= 4 or not all(isinstance(size, int) for size in shape[1:]):
        forms = "[n, channels, height, width], [n, channels, width] or [n, features]"
        raise DeeplockError(f"the network's input must be {forms}, not {list(shape)}")
    channels, height, width = [*shape[1:2], *(1, 1, *shape[2:])[-2:]]
    return height, width, channels


def _outputs(converted: fx.GraphModule, values: dict[fx.Node, _Value]) -> list[Output]:
    found = []
    for result in converted.graph.output_node().args[0]:  # pyright: ignore
        if not isinstance(value := values.get(result), Activation):  # pyright: ignore
            raise DeeplockError("the network's output must be an activation")
        if value.flat and value.shape[0] * value.shape[1] > 1:
            raise DeeplockError("the network's output must not be flattened: the accelerator gives it in NHWC order")
        if value.quantisation is None:
            raise DeeplockError(f"the network's output must be its last layer, not {value.source}")
        found.append(Output(value.source, value.shape, value.quantisation))
    return found


def _operands(node: fx.Node) -> list[fx.Node]:
    """The nodes among its arguments, those of a list too."""
    first, *others = node.args
    return [
        each
        for each in (*(first if isinstance(first, list | tuple) else (first,)), *others)
        if isinstance(each, fx.Node)
    ]


def _rank(node: fx.Node) -> int:
    return node.meta["val"].dim() - 1


def _step(node: fx.Node, operands: list[_Value], name: str) -> tuple[_Value, Layer | None]:
    """The node's value, given those of its operands, and the layer that it completes, if any."""
    value = operands[0]
    if node.target is _QUANTISE:
        quantisation = _read_quantisation(node)
        if isinstance(value, Pending):
            return value.requantised(quantisation)
        if value.quantisation not in (None, quantisation):
            raise unsupported(node, "an int8 activation cannot be quantised again")
        return replace(value, quantisation=quantisation), None
    if node.target in CLAMPS and isinstance(value, Pending):
        return clamped(node, value), None
    if node.target in CLAMPS:
        raise unsupported(node, "must follow conv2d, linear, an average pool, add or mul, and be its only user")
    if isinstance(value, Pending) or value.quantisation is None:
        raise unsupported(node, "its input must be int8: quantise with AcceleratorQuantizer")
    if node.target in READERS:
        read = READERS[node.target](node, name, *operands)
        if isinstance(read, Pending):
            return replace(read, rank=_rank(node)), None
        shapes = [operand.shape for operand in operands if isinstance(operand, Activation)]
        return Activation(name, read.output_shape(*shapes), value.quantisation, _rank(node)), read
    if node.target in RESHAPES:
        sizes = tuple(node.meta["val"].shape[1:])
        if sizes != sizes_of(value.shape).get(len(sizes)) or any(value.padding):
            raise unsupported(node, "must flatten to [n, channels * height * width], or undo that")
        return replace(value, rank=len(sizes)), None
    if node.target in PADS:
        return replace(value, padding=padded(node, value)), None
    if node.target in DROPOUTS and arguments(node).get("train"):
        raise unsupported(node, "still in training mode: call move_exported_model_to_eval before convert_pt2e")
    if node.target in DROPOUTS or node.target is _DEQUANTISE:
        return value, None
    raise unsupported(node)


def from_pt2e(converted: fx.GraphModule, name: str, *, classes: tuple[str, ...] = (), dataset: str = "") -> Network:
    """Read a graph from convert_pt2e, prepared with `AcceleratorQuantizer` (PTQ or QAT), into a `Network`.

    Layers are named by the path of their module ("features.conv1"), or by their graph node where there is none.
    `DeeplockError` names an operator that the accelerator does not have, and its node.
    """
    values: dict[fx.Node, _Value] = {}
    layers: list[Layer] = []
    taken = {"", "input"}
    for node in converted.graph.nodes:
        if node.op == "placeholder":
            values[node] = Activation("input", _input_shape(node), rank=_rank(node))
        elif node.op == "call_function" and node.users and node.target not in SYMBOLS | {_DEQUANTISE_WEIGHT}:
            operands = [values[each] for each in _operands(node) if each in values]
            if not operands or _operands(node)[0] not in values:
                raise unsupported(node)
            layer_name = _name(node, taken) if node.target in READERS else ""
            values[node], layer = _step(node, operands, layer_name)
            taken.add(layer_name)
            layers += [layer] if layer else []
    found = _outputs(converted, values)
    whole, outputs = ending(layers, found)
    ifmap = next(v for v in values.values() if isinstance(v, Activation) and v.source == "input" and v.quantisation)
    assert ifmap.quantisation
    output = found[0].quantisation
    return Network(name, ifmap.shape, ifmap.quantisation, output, whole, classes, dataset, outputs=outputs)
