"""Reads a full-integer TensorFlow Lite file into a `Network`: weights, scales and zero points as they are."""

from dataclasses import replace
from pathlib import Path

import tflite

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Activation, Draft, Imported, Pending
from deeplock.pymodel.frontends.tflite.graph import (
    FLOAT32,
    INT8,
    INT32,
    SPLITS,
    UINT8,
    Graph,
    Operator,
    Tensor,
    named,
    read_graph,
)
from deeplock.pymodel.frontends.tflite.operators import CLAMPS, READERS, RESHAPES, padded, reshaped, sizes_of
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["LAST", "read_network"]

_SIZES = ("SHAPE", "STRIDED_SLICE", "PACK")
"""Operators on sizes, which a batch of any size brings into a graph: arguments of RESHAPE, not data."""

LAST = ("SOFTMAX", "DEQUANTIZE", "QUANTIZE")
"""Operators that change nothing about which output is the largest, at the network's end."""

_FOLDED = ("activation", "batch_normalization", "re_lu")
"""Keras layers that the converter folds into the layer before them, which gets their names too."""


def _shape(tensor: Tensor) -> Shape:
    """(height, width, channels) of an ifmap [1, height, width, channels], [1, width, channels] or [1, features]."""
    batch, *sizes = tensor.shape or (0,)
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1 or batch != 1:
        forms = "[1, height, width, channels], [1, width, channels] or [1, features]"
        raise DeeplockError(f"the network's input must be {forms}, not {list(tensor.shape)}")
    height, width, channels = (1, 1, *sizes)[-3:]
    return height, width, channels


def _input(graph: Graph) -> Tensor:
    if len(graph.inputs) != 1:
        raise DeeplockError(f"the network must have one input, not {len(graph.inputs)}")
    return graph.inputs[0]


def _leaves(graph: Graph, tensor: Tensor) -> bool:
    """Whether it is an output of the network."""
    return any(tensor is each for each in graph.outputs)


def _title(node: Operator) -> str:
    """The name that a Keras layer has in its tensors' names, such as `model/activation/Relu;model/conv2d/Conv2D`; else ""."""
    tensors = [tensor for tensor in node.inputs[1:2] if tensor and tensor.data is not None]
    for tensor in (*tensors, node.output):
        for path in tensor.name.split(";"):
            *folders, _ = path.split("/")
            if len(folders) == 2 and not folders[1].startswith(_FOLDED):
                return folders[1]
    return ""


def _users(graph: Graph, tensor: Tensor) -> list[Operator]:
    return [node for node in graph.operators if any(one is tensor for one in node.inputs)]


def _ends(graph: Graph, node: Operator) -> bool:
    """Whether nothing but operators of `LAST` follows."""
    if _leaves(graph, node.output):
        return True
    users = _users(graph, node.output)
    return len(users) == 1 and users[0].kind in LAST and _ends(graph, users[0])


def _ifmap(draft: Draft, node: Operator, tensor: Tensor, given: Tensor) -> Activation:
    """The int8 ifmap: the file's input itself or, if that is float32 or uint8, the tensor that `node` makes of it."""
    quantisation = node.quantisation(tensor)
    if given.type == UINT8 and (given.scale.tolist(), (given.zero_point - 128).tolist()) != (
        tensor.scale.tolist(),
        tensor.zero_point.tolist(),
    ):
        raise node.unsupported("a uint8 input must have the scale of the int8 tensor, and a zero point 128 above its")
    return draft.input(Activation("input", _shape(given), quantisation, len(given.shape) - 1), tensor.index)


def _last(graph: Graph, draft: Draft, node: Operator, value: Activation) -> Activation:
    """What an operator of `LAST` leaves of its input: all of it."""
    if not _ends(graph, node):
        raise node.unsupported("must be at the network's end")
    if node.kind == "SOFTMAX":
        draft.notes.append(f"{node.kind} at node {node.index} is left out: the largest output stays the same")
    return value


def _clamped(draft: Draft, node: Operator, value: Activation) -> Pending:
    """A clamp that is an operator of its own, moved into the layer before it."""
    pending = draft.reopened(value, *CLAMPS[node.kind])
    if pending is None:
        raise node.unsupported("must follow a layer that requantises, and be the only user of its result")
    return pending


def _same_quantisation(node: Operator, value: Activation) -> None:
    """Refuse an operator that would requantise what it only moves or compares, as LiteRT does."""
    found = node.quantisation(node.output)
    if found != value.quantisation:
        raise node.unsupported(
            f"its output must have its input's scale and zero point, {value.quantisation}, not {found}"
        )


def _check_shape(node: Operator, value: Activation) -> None:
    """What was read must have the shape that the file says."""
    sizes = node.output.shape[1:]
    if sizes != sizes_of(value.shape).get(value.rank):
        raise node.unsupported(f"was misread: its output is {list(value.shape)}, that of the file {list(sizes)}")


def _step(graph: Graph, draft: Draft, node: Operator, values: list[Activation]) -> Activation:
    """The node's output, given the activations that it reads, the first one its first input."""
    value, *others = values
    if others and node.kind not in ("ADD", "MUL", "CONCATENATION"):
        raise node.unsupported("only its first input may be an activation")
    if node.kind in LAST:
        return _last(graph, draft, node, value)
    if node.kind == "PAD":
        _same_quantisation(node, value)
        return replace(value, padding=padded(node, value))
    if any(each.padding != (0, 0, 0, 0) for each in values) and node.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        raise node.unsupported("a PAD must be followed by convolutions")
    if node.kind in RESHAPES:
        _same_quantisation(node, value)
        return replace(value, rank=reshaped(node, value))
    if node.kind in CLAMPS:
        read = _clamped(draft, node, value)
    elif node.kind in READERS:
        name = draft.name("" if node.kind in SPLITS else _title(node), node.title)
        read = READERS[node.kind](node, name, value, *others)
    else:
        raise node.unsupported(f"supported: {', '.join((*READERS, *CLAMPS, 'PAD', *RESHAPES, *LAST))}")
    if isinstance(read, Pending):
        found = draft.requantise(read, node.quantisation(node.output), node.output.index)
    else:
        _same_quantisation(node, value)
        found = draft.add(read, value, node.output.index, len(node.output.shape) - 1)
    _check_shape(node, found)
    return found


def read_network(path: Path) -> Imported:
    """Read a file. `DeeplockError` names an operator that the accelerator does not have, its node, and why.

    Layers have their Keras layers' names, where the file tells these, else those of operator and node. A clamp that is an
    operator of its own becomes part of the layer before it, a padding part of the convolution behind it.
    """
    graph = read_graph(path)
    given = _input(graph)
    if not graph.outputs:
        raise DeeplockError("the network must have an output")
    draft, values = Draft(), dict[int, Activation]()
    for node in graph.operators:
        if node.kind in _SIZES and node.output.type == INT32:
            continue
        if node.kind in SPLITS and not _users(graph, node.output) and not _leaves(graph, node.output):
            continue
        operand = node.inputs[0] if node.inputs else None
        if operand is given and given.type == INT8 and given.index not in values:
            values[given.index] = _ifmap(draft, node, given, given)
        if operand is given and node.kind == "QUANTIZE" and given.type in (FLOAT32, UINT8):
            values[node.output.index] = _ifmap(draft, node, node.output, given)
            continue
        read = [tensor for tensor in node.inputs if tensor is not None and tensor.index in values]
        if not read or read[0] is not operand:
            kind = "missing" if operand is None else named(tflite.TensorType, operand.type).lower()
            raise node.unsupported(
                f"its input must be an int8 activation, not {kind}: convert with full integer quantisation"
            )
        values[node.output.index] = _step(graph, draft, node, [values[tensor.index] for tensor in read])
    for result in graph.outputs:
        if result.index not in values:
            raise DeeplockError(f"the network's output, {result.name}, must be an activation")
    return draft.finished(path.stem, _shape(given), [values[result.index] for result in graph.outputs])
