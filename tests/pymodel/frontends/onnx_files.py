"""ONNX files: float graphs, and what onnxruntime's static quantiser makes of them."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

__all__ = ["Float", "quantised"]


class Float:
    """A float graph that is written node by node, with random weights; "x" is the input. Methods give the output's name."""

    def __init__(self, rng: np.random.Generator, *shape: int, batch: int | str = "n", opset: int = 17) -> None:
        self.rng, self.shape, self.batch, self.opset = rng, shape, batch, opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def split(self, x: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Its outputs."""
        name = f"split_{len(self.nodes)}"
        outputs = [f"{name}_out_{number}" for number in range(count)]
        self.nodes.append(helper.make_node("Split", [x, *inputs], outputs, name, **attributes))
        return outputs

    def random(self, *shape: int, scale: float) -> str:
        return self.constant(self.rng.normal(0, scale, shape).astype(np.float32))

    def conv(self, x: str, channels: int, out: int, kernel=(3, 3), bias=True, group=1, **attributes: Any) -> str:
        weight = self.random(out, channels // group, *kernel, scale=(channels // group * np.prod(kernel)) ** -0.5)
        more = [self.random(out, scale=0.3)] if bias else []
        return self.node("Conv", x, weight, *more, group=group, **attributes)

    def dense(self, x: str, features: int, out: int) -> str:
        weight = self.random(out, features, scale=features**-0.5)
        return self.node("Gemm", x, weight, self.random(out, scale=0.3), transB=1)

    def write(self, path: Path, *outputs: str) -> Path:
        """By default the output is the last node's."""
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "test",
            [value("x", TensorProto.FLOAT, [self.batch, *self.shape])],
            [value(name, TensorProto.FLOAT, None) for name in outputs or self.nodes[-1].output[:1]],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 9
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path


class _Inputs(CalibrationDataReader):
    def __init__(self, net: Float) -> None:
        size = net.batch if isinstance(net.batch, int) else 1
        draw = net.rng.normal(0, 1, (16, size, *net.shape)).astype(np.float32)
        self.inputs = iter([{"x": each} for each in draw])

    def get_next(self):
        return next(self.inputs, None)


def quantised(
    net: Float, path: Path, per_channel=True, activation=QuantType.QInt8, outputs: Sequence[str] = (), **options: Any
) -> Path:
    """The file of a float graph, quantised on normal noise."""
    source = net.write(path.with_suffix(".float.onnx"), *outputs)
    with warnings.catch_warnings(action="ignore"):
        quantize_static(
            source,
            path,
            _Inputs(net),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=activation,
            weight_type=QuantType.QInt8,
            extra_options=options,
        )
    return path
