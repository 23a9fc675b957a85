"""Reads an ONNX file in QDQ form into a `Network`: int8 tensors between QuantizeLinear and DequantizeLinear.

uint8 activations are int8 with a zero point 128 below. A Relu that the quantiser has left between two QuantizeLinear rounds
twice in onnxruntime; here it becomes part of the layer before it, which rounds once, to the Relu's scale.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Activation, Draft, Imported, Pending
from deeplock.pymodel.frontends.onnx.graph import Graph, Node, read_graph
from deeplock.pymodel.frontends.onnx.operators import READERS, RESHAPES, Constant, clamp, padded, reshaped
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["SUPPORTED", "read_network"]

_CLAMPS, _SAME = ("Relu", "Clip"), ("Identity", "Dropout")
SUPPORTED = (*READERS, *_CLAMPS, *RESHAPES, "Pad", *_SAME, "Softmax", "QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class _Ended:
    """The network's output behind its last Softmax, in whatever quantisation."""

    value: Activation


@dataclass(frozen=True)
class _Given:
    """The file's input in float. Its value has no quantisation yet."""

    value: Activation


_Value = Activation | Pending | Constant | _Ended | _Given
_NONE_YET = Quantisation(1.0, 0)


@dataclass(frozen=True, eq=False)
class _Scale:
    """The parameters of a QuantizeLinear or DequantizeLinear."""

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    @staticmethod
    def of(node: Node, graph: Graph) -> "_Scale":
        if not set(node.inputs[1:]) <= graph.constants.keys():
            raise node.unsupported("its scale and zero point must be constants")
        scale, *zero_point = (np.atleast_1d(graph.constants[name]) for name in node.inputs[1:])
        zeros = zero_point[0] if zero_point else np.zeros(len(scale), np.uint8)
        if scale.dtype != np.float32 or not (np.isfinite(scale) & (scale >= 0)).all():
            raise node.unsupported("its scales must be numbers in float32")
        return _Scale(scale.astype(np.float64), zeros, node.attributes.get("axis", 1))

    def quantisation(self, node: Node) -> Quantisation:
        """Of an activation."""
        if len(self.scale) != 1 or self.zero_point.dtype not in (np.int8, np.uint8) or not self.scale[0]:
            raise node.unsupported("activations must be int8 or uint8, with one scale")
        return Quantisation(float(self.scale[0]), int(self.zero_point[0]) - 128 * (self.zero_point.dtype == np.uint8))

    def constant(self, node: Node, data: np.ndarray) -> Constant:
        """Of weights or of a bias, as integers or, before its QuantizeLinear, in float."""
        if self.zero_point.any():
            raise node.unsupported("weights and biases must have zero point 0")
        if data.dtype == np.float32:
            shape = [-1 if axis == self.axis % data.ndim and len(self.scale) > 1 else 1 for axis in range(data.ndim)]
            limits = np.iinfo(self.zero_point.dtype)
            data = np.clip(np.rint(data / self.scale.reshape(shape)), limits.min, limits.max)
            data = data.astype(self.zero_point.dtype)
        return Constant(data, self.scale, self.axis)


def _shape(graph: Graph) -> Shape:
    """(height, width, channels) of an ifmap."""
    channels, height, width = (graph.shape[0], *(1, 1, *graph.shape[1:])[-2:])
    return height, width, channels


def _quantise(graph: Graph, draft: Draft, node: Node, value: _Value) -> _Value:
    """QuantizeLinear: of the ifmap, of a layer's sums, of what has this quantisation already, or another one, or of weights in
    float."""
    scale = _Scale.of(node, graph)
    if isinstance(value, _Ended):
        return value
    if isinstance(value, Constant):
        return scale.constant(node, value.data)
    quantisation = scale.quantisation(node)
    if isinstance(value, _Given):
        return draft.input(replace(value.value, quantisation=quantisation), node.output)
    if isinstance(value, Pending):
        return draft.requantise(value, quantisation, node.output)
    if value.quantisation == quantisation:
        return value
    if any(value.padding):
        raise node.unsupported("a Pad must keep its input's scale and zero point")
    name = draft.name("", node.title)
    again = partial(integer_average, name, value.source, (1, 1), (1, 1), value.quantisation)
    return draft.requantise(Pending(name, again, (value,), rank=value.rank), quantisation, node.output)


def _dequantise(graph: Graph, node: Node, value: _Value) -> _Value:
    """DequantizeLinear: of an activation, or of constants in int8 or int32."""
    scale = _Scale.of(node, graph)
    if isinstance(value, Constant):
        return value if value.scale is not None else scale.constant(node, value.data)
    if isinstance(value, Activation) and value.quantisation != scale.quantisation(node):
        raise node.unsupported(f"must have the scale and zero point of its input, {value.quantisation}")
    if not isinstance(value, Activation | _Ended):
        raise node.unsupported("its input must be int8")
    return value


def _clamped(draft: Draft, node: Node, value: Activation | Pending, bounds: list) -> Pending:
    """A clamp becomes part of the layer before it."""
    if isinstance(value, Pending):
        return value.clamped(*clamp(node, *bounds))
    pending = draft.reopened(value, *clamp(node, *bounds))
    if pending is None:
        raise node.unsupported("must follow a layer that requantises, and be the only user of its result")
    return pending


def _layer(graph: Graph, draft: Draft, node: Node, value: Activation, operands: list) -> _Value:
    """Any operator but QuantizeLinear and DequantizeLinear, of an int8 activation."""
    if node.kind == "Softmax":
        if value.shape[:2] != (1, 1) or node.attributes.get("axis", -1) not in (1, -1):
            raise node.unsupported("must be over the channels of one pixel")
        draft.notes.append(f"Softmax at node {node.index} is left out: the largest output stays the same")
        return _Ended(value)
    if node.kind in _SAME:
        return value
    if node.kind == "Pad":
        return replace(value, padding=padded(node, value, *operands))
    name = draft.name(node.name.strip("/"), node.title)
    read = READERS[node.kind](node, name, value, *operands)
    return read if isinstance(read, Pending) else draft.add(read, value, node.output)


def _step(graph: Graph, draft: Draft, node: Node, values: dict[str, _Value]) -> _Value:
    """The node's output."""
    if node.kind not in SUPPORTED:
        raise node.unsupported(f"supported: {', '.join(SUPPORTED)}")
    value, *operands = (values.get(name) for name in node.inputs)
    if value is None:
        raise node.unsupported("its first input is missing")
    if node.kind == "QuantizeLinear":
        return _quantise(graph, draft, node, value)
    if node.kind == "DequantizeLinear":
        return _dequantise(graph, node, value)
    if node.kind in RESHAPES and isinstance(value, Activation | _Given):
        moved = value.value if isinstance(value, _Given) else value
        sizes = [operand for operand in operands[:1] if isinstance(operand, Constant)]
        moved = replace(moved, rank=reshaped(node, moved, graph.batch, *sizes))
        return _Given(moved) if isinstance(value, _Given) else moved
    if isinstance(value, Activation | Pending) and node.kind in _CLAMPS:
        return _clamped(draft, node, value, operands)
    if isinstance(value, _Ended):
        raise node.unsupported("Softmax must be at the network's end")
    if not isinstance(value, Activation):
        raise node.unsupported("its input must be int8, behind QuantizeLinear and DequantizeLinear")
    return _layer(graph, draft, node, value, operands)


def read_network(path: Path) -> Imported:
    """Read a file. `DeeplockError` names an operator that the accelerator does not have, its node, and why.

    Layers are named after their nodes, where these names are short, else by operator and node.
    """
    graph = read_graph(path)
    if graph.in_float:
        raise DeeplockError("is in float: it is quantised with images")
    draft = Draft()
    values: dict[str, _Value] = {name: Constant(data) for name, data in graph.constants.items()}
    values[graph.input] = _Given(Activation("input", _shape(graph), _NONE_YET, len(graph.shape)))
    for node in graph.nodes:
        try:
            values[node.output] = _step(graph, draft, node, values)
        except DeeplockError:
            raise
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise node.unsupported(f"its attributes are not the specification's ({error!r})") from None
    outputs = []
    for name in graph.outputs:
        output = values.get(name)
        output = output.value if isinstance(output, _Ended) else output
        if not isinstance(output, Activation):
            raise DeeplockError(f"the network's output, {name}, must be int8, behind QuantizeLinear")
        outputs.append(output)
    return draft.finished(path.stem, _shape(graph), outputs)
