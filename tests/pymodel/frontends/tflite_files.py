"""TensorFlow Lite files as the converter writes them, built with LiteRT's own copy of the schema."""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["File", "SAME", "VALID", "schema", "small_tflite"]

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
_TYPES = {
    np.dtype(dtype): getattr(schema.TensorType, dtype.upper())
    for dtype in ("float32", "int8", "uint8", "int32", "int16")
}
_NONE = schema.ActivationFunctionType.NONE


class File:
    """A file that is written layer by layer. Tensors are their numbers; weights are random, scales such that ofmaps spread."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tensors: list[Any] = []
        self.buffers = [schema.BufferT()]
        self.codes: list[Any] = []
        self.operators: list[Any] = []

    def tensor(self, shape, dtype="int8", scale=(), zero_point=(), name="", axis=0, data=None) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), _TYPES[np.dtype(dtype)]
        tensor.name = name or f"tensor_{len(self.tensors)}"
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if len(scale):
            quantisation = schema.QuantizationParametersT()
            quantisation.scale, quantisation.zeroPoint = [float(s) for s in scale], [int(z) for z in zero_point]
            quantisation.quantizedDimension = axis
            tensor.quantization = quantisation
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def activation(
        self, *shape: int, scale: float = 0.05, zero_point: int = 3, dtype: str = "int8", name: str = ""
    ) -> int:
        quantised = dtype != "float32"
        return self.tensor((1, *shape), dtype, [scale] * quantised, [zero_point] * quantised, name)

    def constant(self, array: np.ndarray, scale=(), axis: int = 0, zero_point: int = 0) -> int:
        scale = np.atleast_1d(np.asarray(scale, float))
        return self.tensor(array.shape, array.dtype, scale, [zero_point] * len(scale), "", axis, array)

    def operator(self, kind: str, inputs: list[int], output: int, options: Any = None, custom: str = "") -> int:
        """`output`, which the operator writes."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode, code.version = custom or None, 1
        self.codes.append(code)
        node = schema.OperatorT()
        node.opcodeIndex, node.inputs, node.outputs = len(self.codes) - 1, inputs, [output]
        if options is not None:
            node.builtinOptions = options
            node.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(node)
        return output

    def parts(self, kind: str, inputs: list[int], source: int, pixels: tuple[int, int], channels) -> list[int]:
        """Outputs of SPLIT or SPLIT_V, of so many channels each."""
        options = schema.SplitOptionsT() if kind == "SPLIT" else schema.SplitVOptionsT()
        options.numSplits = len(channels)
        outputs = [self.like(source, *pixels, each) for each in channels]
        self.operator(kind, inputs, outputs[0], options)
        self.operators[-1].outputs = outputs
        return outputs

    def scale_of(self, tensor: int) -> float:
        return self.tensors[tensor].quantization.scale[0]

    def like(self, tensor: int, *shape: int) -> int:
        """An activation with the quantisation of another one."""
        quantisation = self.tensors[tensor].quantization
        return self.activation(*shape, scale=quantisation.scale[0], zero_point=quantisation.zeroPoint[0])

    def weights(
        self, source: int, shape: tuple[int, ...], axis: int | None, bias: bool = True
    ) -> tuple[list[int], float]:
        """The tensors of random weights and biases, and a scale of the sums that spreads these over int8.

        axis  of the channels, each with a scale of its own; None: one scale
        """
        out = shape[axis or 0]
        scale = self.rng.uniform(0.001, 0.02, out if axis is not None else 1)
        weight = self.constant(self.rng.integers(-127, 128, shape, np.int8), scale, axis or 0)
        fan_in = np.prod(shape) / out
        spread = 60 * 73 * np.sqrt(fan_in)
        found = [weight]
        if bias:
            found.append(
                self.constant((self.rng.normal(0, spread, out)).astype(np.int32), scale * self.scale_of(source))
            )
        return found, self.scale_of(source) * float(scale.max()) * spread / 45

    def conv(self, source: int, shape, kernel=(3, 3), stride=1, padding=SAME, out=4, activation=_NONE) -> int:
        """shape: of the source, [height, width, channels]."""
        parameters, scale = self.weights(source, (out, *kernel, shape[2]), 0)
        options = schema.Conv2DOptionsT()
        output = self._convolved(options, shape, kernel, stride, padding, out, activation, scale)
        return self.operator("CONV_2D", [source, *parameters], output, options)

    def depthwise(
        self, source: int, shape, kernel=(3, 3), stride=1, padding=SAME, activation=_NONE, multiplier=1
    ) -> int:
        out = multiplier * shape[2]
        parameters, scale = self.weights(source, (1, *kernel, out), 3)
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = multiplier
        output = self._convolved(options, shape, kernel, stride, padding, out, activation, scale)
        return self.operator("DEPTHWISE_CONV_2D", [source, *parameters], output, options)

    def transposed(self, source: int, shape, kernel=(2, 2), stride=(2, 2), padding=SAME, out=4, bias=True) -> int:
        """shape: of the source; with VALID the output is as large as the kernels reach."""
        (weight, *more), scale = self.weights(source, (out, *kernel, shape[2]), 0, bias)
        options = schema.TransposeConvOptionsT()
        options.padding, (options.strideH, options.strideW) = padding, stride
        sizes = [
            size * step if padding == SAME else (size - 1) * step + each
            for size, step, each in zip(shape[:2], stride, kernel, strict=True)
        ]
        given = self.constant(np.array([1, *sizes, out], np.int32))
        output = self.activation(*sizes, out, scale=scale / 2, zero_point=-5)
        return self.operator("TRANSPOSE_CONV", [given, weight, source, *more], output, options)

    def concat(self, first: int, second: int, shape) -> int:
        """Of channels; shape: of the output. Both sources get one scale, as from the converter: the first one's."""
        options = schema.ConcatenationOptionsT()
        options.axis = 3
        self.tensors[second].quantization = self.tensors[first].quantization
        return self.operator("CONCATENATION", [first, second], self.like(first, *shape), options)

    def resize(self, source: int, shape, height: int, width: int, **options: Any) -> int:
        """Nearest."""
        found = schema.ResizeNearestNeighborOptionsT()
        for name, value in options.items():
            setattr(found, name, value)
        size = self.constant(np.array([height, width], np.int32))
        return self.operator(
            "RESIZE_NEAREST_NEIGHBOR", [source, size], self.like(source, height, width, shape[2]), found
        )

    def blocks(self, source: int, shape, size: int) -> int:
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = size
        output = self.like(source, shape[0] * size, shape[1] * size, shape[2] // size**2)
        return self.operator("DEPTH_TO_SPACE", [source], output, options)

    def _convolved(self, options, shape, kernel, stride, padding, out, activation, scale) -> int:
        """Set the options; the output."""
        options.padding, options.strideH, options.strideW = padding, stride, stride
        options.fusedActivationFunction, options.dilationHFactor, options.dilationWFactor = activation, 1, 1
        sizes = [
            -(-size // stride) if padding == SAME else (size - k) // stride + 1
            for size, k in zip(shape[:2], kernel, strict=True)
        ]
        return self.activation(*sizes, out, scale=scale, zero_point=-5 if activation == _NONE else -128)

    def dense(self, source: int, features: int, out=6, activation=_NONE, axis=None, bias=True) -> int:
        parameters, scale = self.weights(source, (out, features), axis, bias)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = activation
        output = self.activation(out, scale=scale, zero_point=7)
        return self.operator("FULLY_CONNECTED", [source, *parameters], output, options)

    def pool(self, kind: str, source: int, shape, kernel=(2, 2), stride=(2, 2), padding=VALID, activation=_NONE) -> int:
        options = schema.Pool2DOptionsT()
        options.padding, options.fusedActivationFunction = padding, activation
        (options.filterHeight, options.filterWidth), (options.strideH, options.strideW) = kernel, stride
        sizes = [
            -(-size // s) if padding == SAME else (size - k) // s + 1
            for size, k, s in zip(shape[:2], kernel, stride, strict=True)
        ]
        return self.operator(kind, [source], self.like(source, *sizes, shape[2]), options)

    def add(self, first: int, second: int, shape, activation=_NONE) -> int:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = activation
        scale = 0.8 * (self.scale_of(first) + self.scale_of(second))
        return self.operator("ADD", [first, second], self.activation(*shape, scale=scale, zero_point=-9), options)

    def multiply(self, first: int, second: int, shape, activation=_NONE) -> int:
        options = schema.MulOptionsT()
        options.fusedActivationFunction = activation
        scale = 57.3 * self.scale_of(first) * self.scale_of(second)  # so that few products are halves
        return self.operator("MUL", [first, second], self.activation(*shape, scale=scale, zero_point=-11), options)

    def function(self, kind: str, source: int, shape, scale=0.04, zero_point=-60, **options: Any) -> int:
        """A function of one number, by default of outputs from about -2.7 to 7.5."""
        title = {"LEAKY_RELU": "LeakyRelu", "HARD_SWISH": "HardSwish", "GELU": "Gelu"}.get(kind)
        found = getattr(schema, f"{title}OptionsT")() if title else None
        for name, value in options.items():
            setattr(found, name, value)
        return self.operator(kind, [source], self.activation(*shape, scale=scale, zero_point=zero_point), found)

    def mean(self, source: int, channels: int, axes=(1, 2), keeps=False) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = keeps
        output = self.activation(*((1, 1) if keeps else ()), channels, scale=0.6 * self.scale_of(source), zero_point=2)
        return self.operator("MEAN", [source, self.constant(np.array(axes, np.int32))], output, options)

    def reshape(self, source: int, *shape: int) -> int:
        sizes = self.constant(np.array([1, *shape], np.int32))
        return self.operator("RESHAPE", [source, sizes], self.like(source, *shape), schema.ReshapeOptionsT())

    def pad(self, source: int, shape, top: int, left: int, bottom: int, right: int) -> int:
        amounts = self.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
        height, width, channels = shape
        output = self.like(source, height + top + bottom, width + left + right, channels)
        return self.operator("PAD", [source, amounts], output, schema.PadOptionsT())

    def softmax(self, source: int, features: int) -> int:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self.operator("SOFTMAX", [source], self.activation(features, scale=1 / 256, zero_point=-128), options)

    def write(self, path: Path, input: int = 0, *outputs: int) -> Path:
        """By default the output is the last operator's."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [input], list(outputs) or [self.operators[-1].outputs[0]]
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self.codes, [graph], self.buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        return path


def small_tflite(rng: np.random.Generator) -> File:
    """Raw images of 6x6x3 to four classes."""
    file, shape = File(rng), (6, 6, 3)
    x = file.conv(file.activation(*shape, scale=1.0, zero_point=-128), shape, out=5)
    x = file.pool("AVERAGE_POOL_2D", x, (6, 6, 5), (6, 6), (6, 6))
    file.softmax(file.dense(file.reshape(x, 5), 5, 4), 4)
    return file
