"""What a TensorFlow Lite file says, as plain data. Source: TensorFlow's schema.fbs, version 3a, by the package `tflite`."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import tflite
from flatbuffers.table import Table

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.tensor import Quantisation

__all__ = [
    "FAULTS",
    "FLOAT32",
    "Graph",
    "INT32",
    "INT8",
    "Operator",
    "SPLITS",
    "Tensor",
    "UINT8",
    "named",
    "read_graph",
]

FLOAT32, INT8, UINT8, INT32 = (getattr(tflite.TensorType, name) for name in ("FLOAT32", "INT8", "UINT8", "INT32"))
FAULTS = (struct.error, AttributeError, IndexError, OverflowError, TypeError, ValueError)
"""What reading a broken file raises: the package checks nothing."""

SPLITS = ("SPLIT", "SPLIT_V")
"""Operators of several outputs."""

_DTYPES = {FLOAT32: np.dtype("<f4"), INT8: np.dtype("i1"), UINT8: np.dtype("u1"), INT32: np.dtype("<i4")}


def named(enum: type, value: int) -> str:
    """The name that the schema gives a number of an enumeration."""
    return next((name for name, number in vars(enum).items() if number == value), str(value))


_Table = TypeVar("_Table")


@dataclass(frozen=True, eq=False)
class Tensor:
    """scale, zero_point  float64 and int64 [1] or [channels]; empty if it is not quantised
    axis                  the dimension of the channels
    data                  of a constant, in the tensor's shape; None for an activation
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: int
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator of one output. An input that is left out is None.

    inputs  of a TRANSPOSE_CONV in the order of other convolutions: activation, weights, bias, shape of the output; of a SPLIT
            in that of SPLIT_V: activation, sizes, axis
    before  outputs of a split, which is an operator for each of them, before this one
    """

    kind: str
    index: int
    inputs: tuple[Tensor | None, ...]
    output: Tensor
    options: Table | None
    before: tuple[Tensor, ...] = ()

    @property
    def title(self) -> str:
        """A name that no other operator has."""
        return f"{self.kind.lower()}_{self.index}" + (f"_{len(self.before)}" if self.kind in SPLITS else "")

    def unsupported(self, why: str) -> DeeplockError:
        """The error that names it."""
        name = self.output.name.split(";")[0]  # the first of all that the converter joined
        return DeeplockError(f"unsupported operator {self.kind} at node {self.index} ({name}): {why}")

    def quantisation(self, tensor: Tensor) -> Quantisation:
        """Of an int8 activation that it reads or writes."""
        if tensor.type != INT8:
            kind = named(tflite.TensorType, tensor.type).lower()
            raise self.unsupported(f"{tensor.name} must be int8, not {kind}: convert with full integer quantisation")
        if len(tensor.scale) != 1 or len(tensor.zero_point) != 1:
            raise self.unsupported(f"{tensor.name} must have one scale and one zero point")
        scale, zero_point = float(tensor.scale[0]), int(tensor.zero_point[0])
        if not (0 < scale < np.inf and -128 <= zero_point <= 127):
            raise self.unsupported(f"{tensor.name} has scale {scale:.3g} and zero point {zero_point}")
        return Quantisation(scale, zero_point)


@dataclass(frozen=True, eq=False)
class Graph:
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def _there(table: _Table | None) -> _Table:
    if table is None:
        raise ValueError("a table is missing")
    return table


def _text(content: bytes | None) -> str:
    """A name on one line, whatever the file says."""
    return "".join(letter for letter in (content or b"").decode(errors="replace") if letter.isprintable())


def _numbers(values: object, dtype: type) -> np.ndarray:
    """A vector of the file; the package gives 0 for a missing one."""
    with np.errstate(invalid="ignore"):  # a NaN that signals: whoever needs the number refuses it
        return np.array(values if isinstance(values, np.ndarray) else [], dtype)


def _tensor(model: tflite.Model, raw: tflite.Tensor, index: int) -> Tensor:
    shape = tuple(_numbers(raw.ShapeAsNumpy(), int).tolist())
    data, content = None, _there(model.Buffers(raw.Buffer())).DataAsNumpy()
    if isinstance(content, np.ndarray) and raw.Type() in _DTYPES:
        data = np.frombuffer(content.tobytes(), _DTYPES[raw.Type()]).reshape(shape)
    scale = zero_point = np.zeros(0)
    axis = 0
    if quantisation := raw.Quantization():
        scale = _numbers(quantisation.ScaleAsNumpy(), np.float64)
        zero_point = _numbers(quantisation.ZeroPointAsNumpy(), np.int64)
        axis = quantisation.QuantizedDimension()
    name = _text(raw.Name()) or f"tensor {index}"
    return Tensor(index, name, shape, raw.Type(), scale, zero_point, axis, data)


def _operators(model: tflite.Model, raw: tflite.Operator, index: int, tensors: list[Tensor]) -> list[Operator]:
    code = _there(model.OperatorCodes(raw.OpcodeIndex()))
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = named(tflite.BuiltinOperator, number)
    if number == tflite.BuiltinOperator.CUSTOM:
        kind = f"CUSTOM {_text(code.CustomCode())}"
    outputs = [tensors[raw.Outputs(i)] for i in range(raw.OutputsLength())]
    if len(outputs) != 1 and kind not in SPLITS:
        raise DeeplockError(f"unsupported operator {kind} at node {index}: must have one output, not {len(outputs)}")
    numbers = [raw.Inputs(i) for i in range(raw.InputsLength())]
    inputs = tuple(tensors[number] if number >= 0 else None for number in numbers)
    if kind == "TRANSPOSE_CONV" and len(inputs) > 2:
        inputs = inputs[2], inputs[1], inputs[3] if len(inputs) > 3 else None, inputs[0]
    if kind == "SPLIT" and len(inputs) == 2:
        inputs = inputs[1], None, inputs[0]
    options = raw.BuiltinOptions()
    return [
        Operator(kind, index, inputs, output, options, tuple(outputs[:number])) for number, output in enumerate(outputs)
    ]


def read_graph(path: Path) -> Graph:
    """Read a file; `DeeplockError` if it is none, or truncated."""
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise DeeplockError(f"{path}: not a TensorFlow Lite file")
    try:
        model = tflite.Model.GetRootAs(content)
        if model.SubgraphsLength() != 1:
            raise DeeplockError(f"{path}: must have one subgraph, not {model.SubgraphsLength()}")
        main = _there(model.Subgraphs(0))
        tensors = [_tensor(model, _there(main.Tensors(i)), i) for i in range(main.TensorsLength())]
        operators = [
            operator
            for i in range(main.OperatorsLength())
            for operator in _operators(model, _there(main.Operators(i)), i, tensors)
        ]
        inputs = [tensors[main.Inputs(i)] for i in range(main.InputsLength())]
        outputs = [tensors[main.Outputs(i)] for i in range(main.OutputsLength())]
    except DeeplockError:
        raise
    except FAULTS as error:
        raise DeeplockError(f"{path}: truncated, or not a TensorFlow Lite file ({error})") from None
    return Graph(tuple(operators), tuple(inputs), tuple(outputs))
