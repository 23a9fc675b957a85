"""What an ONNX file says, as plain data. Source: the ONNX operator specification (onnx.ai/onnx/operators), opsets 10 and up."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Graph", "Node", "read_graph"]


@dataclass(frozen=True, eq=False)
class Node:
    """An operator of one output. An input that is left out is "".

    part, parts  of a Split, which is a node for each of its outputs: which one, and their number
    """

    kind: str
    index: int
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    part: int = 0
    parts: int = 1

    @property
    def title(self) -> str:
        """A name that no other node has."""
        return f"{self.kind.lower()}_{self.index}" + (f"_{self.part}" if self.parts > 1 else "")

    def unsupported(self, why: str) -> DeeplockError:
        """The error that names it."""
        return DeeplockError(f"unsupported operator {self.kind} at node {self.index} ({self.name}): {why}")


@dataclass(frozen=True, eq=False)
class Graph:
    """constants  arrays that the file holds, by name
    shape         of the input, without the batch: [channels, height, width], [channels, width] or [features]
    batch         of the input, 1 if it is dynamic
    """

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    input: str
    shape: tuple[int, ...]
    batch: int
    outputs: tuple[str, ...]

    @property
    def in_float(self) -> bool:
        """Whether nothing in it is quantised."""
        return not any(node.kind == "QuantizeLinear" for node in self.nodes)


def _nodes(raw: onnx.NodeProto, index: int) -> list[Node]:
    kind = f"{raw.domain}.{raw.op_type}" if raw.domain not in ("", "ai.onnx") else raw.op_type
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in raw.attribute}
    node = Node(kind, index, raw.name or raw.output[0], tuple(raw.input), raw.output[0], attributes)
    if kind == "Split":
        parts = [
            replace(node, name=f"{node.name}_{part}", output=output, part=part, parts=len(raw.output))
            for part, output in enumerate(raw.output)
        ]
        return [part for part in parts if part.output]
    if len([name for name in raw.output if name]) != 1:
        raise node.unsupported("must have one output")
    return [node]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...]]:
    """Batch and the other sizes."""
    tensor = value.type.tensor_type
    batch, *sizes = [each.dim_value for each in tensor.shape.dim] or [0]
    if tensor.elem_type != onnx.TensorProto.FLOAT or not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
        kind = names.get(tensor.elem_type, f"type {tensor.elem_type}")
        raise DeeplockError(
            "the network's input must be float [n, channels, height, width], [n, channels, width] or [n, features], not "
            f"{kind} {[batch, *sizes]}"
        )
    return batch or 1, tuple(sizes)


def read_graph(path: Path) -> Graph:
    """Read a file; `DeeplockError` if it is none, or truncated."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DeeplockError(f"{path}: truncated, or not an ONNX file ({reason})") from None
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = []
    for index, raw in enumerate(model.graph.node):
        for node in _nodes(raw, index):
            if node.kind == "Constant" and "value" in node.attributes:
                constants[node.output] = numpy_helper.to_array(node.attributes["value"])
            else:
                nodes.append(node)
    inputs = [each for each in model.graph.input if each.name not in constants]
    if len(inputs) != 1:
        raise DeeplockError(f"the network must have one input, not {len(inputs)}")
    if not model.graph.output:
        raise DeeplockError(f"{path}: truncated, or not an ONNX file (no output)")
    batch, shape = _shape(inputs[0])
    outputs = tuple(each.name for each in model.graph.output)
    return Graph(tuple(nodes), constants, inputs[0].name, shape, batch, outputs)
