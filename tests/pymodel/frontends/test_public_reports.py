"""What other quantisers and importers got wrong, by their public bug reports: here each is right, or refused by name.

A parameter's name is the report's: owner, repository and number. Right means: as PyTorch in float, to a few LSB; or as
onnxruntime or LiteRT, layer by layer, to one LSB.
"""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType
from torch import nn
from torch.nn import functional as F

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.onnx.module import read_module
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from tests.pymodel.frontends.networks import inputs_of, trained_norms
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import SAME, VALID, File, schema

SHAPE = (4, 9, 8)
"""Of the inputs: channels, height, width."""


ZERO = np.array(0, np.float32)


def report(number: str, *values):
    return pytest.param(*values, id=number)


def _error(network: Network, inputs: torch.Tensor, expected: torch.Tensor) -> np.ndarray:
    """Of the network's outputs, in LSB of them. What int8 does not hold is clipped."""
    lowest, highest = (float(network.output.dequantise(np.int8(end))) for end in (-128, 127))
    ofmaps = golden.run(network, network.input.quantise(inputs.permute(0, 2, 3, 1).numpy()))[network.layers[-1].name]
    found = network.output.dequantise(ofmaps.transpose(0, 3, 1, 2)).reshape(expected.shape)
    return np.abs(found - np.clip(expected.numpy(), lowest, highest)) / network.output.scale


class Applied(nn.Module):
    """A convolution whose outputs are mostly negative, then a function of them."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(4, 6, 3, padding=1), function
        nn.init.constant_(self.conv.bias, -1.0)  # pyright: ignore[reportArgumentType]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv(x))


class Shared(nn.Module):
    """One convolution's weights in two chains, each with a batch norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.first(self.conv(x))) + F.relu(self.second(self.conv(x)))


def norm(**options) -> nn.Module:
    statistics = nn.BatchNorm2d(6, **options)
    nn.init.uniform_(statistics.running_mean, -0.5, 0.5)  # pyright: ignore[reportArgumentType]
    nn.init.uniform_(statistics.running_var, 0.1, 1.7)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(nn.Conv2d(4, 6, 3), statistics)


def nearly_dead() -> nn.Module:
    """Two channels of tiny weights, one of them with a large bias: it has no place in 32 bits of its own units."""
    conv = nn.Conv2d(4, 4, 3, groups=4)
    with torch.no_grad():
        conv.weight[1:3] *= 1e-12
        conv.bias[1:3] = torch.tensor([0.8, 0.0])  # pyright: ignore[reportOptionalSubscript]
    return conv


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # of PyTorch, about its speed
@pytest.mark.parametrize(
    "build",
    [
        report("pytorch/ao#2795", lambda: trained_norms(Shared())),
        report("pytorch/pytorch#11249", lambda: norm(affine=False)),
        report("Xilinx/finn-base#21", lambda: norm(eps=0.7)),
        report("microsoft/onnxruntime#11415", nearly_dead),
        report("pytorch/pytorch#45667", lambda: nn.Conv2d(4, 6, (2, 4), padding="same")),
        report("pytorch/pytorch#33382", lambda: Applied(nn.MaxPool2d(3, 2, padding=1))),
        report("apache/tvm#15281", lambda: Applied(nn.MaxPool2d(3, padding=1, ceil_mode=True))),
        report("pytorch/pytorch#94775", lambda: Applied(nn.MaxPool2d(1, (2, 2), ceil_mode=True))),
        report("pytorch/pytorch#57178", lambda: Applied(nn.MaxPool2d(2, 3, ceil_mode=True))),
        report("apache/tvm#18487", lambda: Applied(nn.AvgPool2d(3, 2, padding=1))),
        report("pytorch/pytorch#28260", lambda: Applied(nn.AvgPool2d((3, 2), (2, 1), padding=(1, 0)))),
        report("pytorch/TensorRT#2611", lambda: Applied(nn.AdaptiveAvgPool2d((3, 4)))),
        report("alibaba/heterogeneity-aware-lowering-and-optimization#481", lambda: Applied(nn.Hardtanh(0.0, 2.5))),
        report("pytorch/pytorch#99022", lambda: Applied(nn.ReLU6())),
    ],
)
def test_pytorch(build):
    torch.manual_seed(1)
    module, inputs = build().eval(), inputs_of(SHAPE)
    network, _ = quantise(module, inputs, "net")
    with torch.no_grad():
        error = _error(network, inputs, module(inputs))
    assert error.mean() < 1 and error.max() < 5


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        report("apache/tvm#10614", lambda x: F.avg_pool2d(x, 4, padding=1, ceil_mode=True), "ceil_mode must be False"),
        report("apache/tvm#14795", lambda x: F.avg_pool2d(x, 2, divisor_override=1), "divisor_override must be None"),
        report("apple/coremltools#2573", lambda x: torch.sub(x, F.relu(x), alpha=5), r"operator aten\.sub\.Tensor"),
        report("pytorch/executorch#11777", lambda x: torch.add(x, x, alpha=10), "alpha must be 1, not 10"),
        report("apple/coremltools#1733", nn.AdaptiveAvgPool2d((6, 1)), "must be a multiple of its output"),
        report("tenstorrent/tt-metal#25894", lambda x: F.max_pool2d(x, 3, 1, 0, 2, ceil_mode=True), "dilation must be 1"),
        report("pytorch/pytorch#37844", lambda x: F.pad(x, (1, 1, 0, 0), "circular"), r"operator aten\.pad"),
        report("llvm/torch-mlir#3457", lambda x: F.pad(x, (1, 1, 1, 1), "reflect"), r"operator aten\.pad"),
    ],
)  # fmt: skip
def test_pytorch_refused(function, fault):
    with pytest.raises(DeeplockError, match=fault):
        quantise(Applied(function), inputs_of(SHAPE), "net")


def conv(**attributes):
    return lambda net: net.conv("x", 4, 6, **attributes)


def behind_conv(kind: str, *operands, **attributes):
    def build(net: Float) -> str:
        return net.node(
            kind,
            net.conv("x", 4, 6),
            *(net.constant(each) if isinstance(each, np.ndarray) else each for each in operands),
            **attributes,
        )

    return build


def gemm(bias: bool = True, **attributes):
    """A dense layer behind a flatten; its weights [features, outputs]."""

    def build(net: Float) -> str:
        more = [net.random(5, scale=0.3)] if bias else []
        flat = net.node("Flatten", "x")
        return net.node("Gemm", flat, net.random(int(np.prod(SHAPE)), 5, scale=0.1), *more, **attributes)

    return build


@pytest.mark.parametrize(
    "build",
    [
        report("root-project/root#21737", conv(kernel=(4, 2), auto_pad="SAME_UPPER")),
        report("onnx/onnxmltools#94", conv(kernel=(4, 2), auto_pad="SAME_LOWER", strides=[2, 3])),
        report("microsoft/onnxruntime#495", conv(auto_pad="SAME_UPPER", strides=[2, 2])),
        report("microsoft/onnxruntime#17718", conv(bias=False)),
        report("opencv/opencv#22096", gemm()),
        report("huggingface/candle#3977", gemm(bias=False)),
        report("pytorch/pytorch#61404", behind_conv("Clip", "", np.array(0.5, np.float32))),
        report("apache/tvm#6251", behind_conv("Clip", ZERO, np.array(0.75, np.float32))),
        report("openvinotoolkit/openvino#2603", behind_conv("Clip", ZERO)),
        report(
            "microsoft/onnxruntime#27375",
            behind_conv("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
        ),
        report("microsoft/onnxruntime#15446", behind_conv("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    ],
)
@pytest.mark.parametrize("activation", [QuantType.QInt8, QuantType.QUInt8], ids=["int8", "uint8"])
def test_onnx(build, activation, rng, tmp_path):
    net = Float(rng, *SHAPE)
    build(net)
    _, found = read_int8(quantised(net, tmp_path / "net.onnx", True, activation))
    assert max(found.layer_lsb.values()) <= 1 and found.engine.startswith("onnxruntime")


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        report("sbryngelson/ANEForge#77", gemm(alpha=0.5), "alpha and beta must be 1"),
        report("microsoft/onnxruntime#16203", behind_conv("AveragePool", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1,
               count_include_pad=1), "ceil_mode must be 0"),
        report("onnx/onnx#4294", behind_conv("Pad", np.array([0, 0, -1, 0, 0, 0, 0, 0])), "unsupported operator Pad"),
        report("microsoft/onnxruntime#16401", behind_conv("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
               "unsupported operator Pad"),
    ],
)  # fmt: skip
def test_onnx_refused(build, fault, rng, tmp_path):
    net = Float(rng, *SHAPE)
    build(net)
    with pytest.raises(DeeplockError, match=fault):
        read_int8(quantised(net, tmp_path / "net.onnx"))


def zero_points_left_out(graph):
    """Of the weights, where it is optional."""
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and "quantized" in node.input[0]:
            del node.input[2:]


def scalars_as_vectors(graph):
    """Scales and zero points of one number as vectors of one."""
    for constant in graph.initializer:
        array = numpy_helper.to_array(constant)
        if array.shape == ():
            constant.CopyFrom(numpy_helper.from_array(array.reshape(1), constant.name))


@pytest.mark.parametrize(
    "change",
    [
        report("onnxsim/onnxsim#1421", zero_points_left_out),
        report("microsoft/onnxruntime#13915", scalars_as_vectors),
    ],
)
@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
def test_onnx_written_otherwise(per_channel, change, rng, tmp_path):
    net = Float(rng, *SHAPE)
    net.conv("x", 4, 6)
    path = quantised(net, tmp_path / "net.onnx", per_channel)
    expected = read_int8(path)[0]
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    network, found = read_int8(path)
    ifmaps = rng.integers(-128, 128, (4, 9, 8, 4), np.int8)
    assert np.array_equal(golden.run(network, ifmaps)["conv_0"], golden.run(expected, ifmaps)["conv_0"])
    assert max(found.layer_lsb.values()) <= 1


def bias_of_another_scale(graph):
    scale = next(each for each in graph.initializer if each.name == "constant_1_quantized_scale")
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(2), scale.name))


def axis_left_out(graph):
    """Of weights [6, 4, 3, 3]: it is then 1, but there are 6 scales."""
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            del node.attribute[:]


def no_quantised_output(graph):
    graph.output[0].name = next(node for node in graph.node if node.op_type == "Conv").output[0]
    del graph.node[-2:]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        report("microsoft/onnxruntime#24711", bias_of_another_scale, "its bias must be int32, with the scale of its input"),
        report("sonos/tract#2849", axis_left_out, "axis|scale"),
        report("microsoft/onnxruntime#13328", no_quantised_output, "the network's output, .*, must be int8"),
    ],
)  # fmt: skip
def test_onnx_of_other_quantisers_refused(change, fault, rng, tmp_path):
    net = Float(rng, *SHAPE)
    net.conv("x", 4, 6)
    path = quantised(net, tmp_path / "net.onnx")
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    with pytest.raises(DeeplockError, match=fault):
        read_int8(path)


@pytest.mark.parametrize(
    "build",
    [
        report(
            "sonos/tract#2851", behind_conv("AveragePool", kernel_shape=[3, 3], strides=[2, 2], count_include_pad=1)
        ),
        report("gmalivenko/onnx2keras#167", behind_conv("Clip", ZERO, np.array(6, np.float32))),
    ],
)
def test_onnx_in_float(build, rng, tmp_path):
    net = Float(rng, *SHAPE)
    build(net)
    inputs = inputs_of(SHAPE)
    program = read_module(net.write(tmp_path / "net.onnx"), inputs)  # which compares with onnxruntime
    network, _ = quantise(program, inputs, "net")
    with torch.no_grad():
        assert _error(network, inputs, program.module()(inputs)).mean() < 1


def per_channel_dense(file: File, x: int) -> None:
    file.dense(file.reshape(x, 9 * 8 * 4), 9 * 8 * 4, 6, axis=0)


def dense_that_keeps_dimensions(file: File, x: int) -> None:
    """Those of each pixel."""
    y = file.dense(x, 4, 6)
    file.operators[-1].builtinOptions.keepNumDims = True
    file.tensors[y].shape = [1, 9, 8, 6]


def padded_with_the_zero_point(file: File, x: int) -> None:
    file.conv(file.pad(x, (9, 8, 4), 1, 2, 0, 1), (10, 11, 4), padding=VALID)


def strip(file: File, x: int) -> None:
    file.depthwise(x, (9, 8, 4), (3, 1), 2, SAME)


def no_multiplier(file: File, x: int) -> None:
    """Which the weights' shape gives."""
    file.depthwise(x, (9, 8, 4))
    file.operators[-1].builtinOptions.depthMultiplier = 0


def average(file: File, x: int) -> None:
    """Sums that tie: of two pixels."""
    file.pool("AVERAGE_POOL_2D", x, (9, 8, 4), (1, 2), (1, 2))


@pytest.mark.parametrize(
    "build",
    [
        report("tensorflow/tflite-micro#2602", per_channel_dense),
        report("Samsung/ONE#12078", dense_that_keeps_dimensions),
        report("apache/tvm#4807", padded_with_the_zero_point),
        report("tensorflow/tensorflow#61815", strip),
        report("tensorflow/tensorflow#26806", no_multiplier),
        report("apache/tvm#20298", average),
    ],
)
def test_tflite(build, rng, tmp_path):
    file = File(rng)
    build(file, file.activation(9, 8, 4))
    _, found = read_int8(file.write(tmp_path / "net.tflite"))
    assert max(found.layer_lsb.values()) <= 1 and found.engine.startswith("LiteRT")


def test_tflite_rounds_twice_in_documents_once_in_fact(tmp_path):
    """tensorflow/tensorflow#102943: a sum of 585 that LiteRT makes -120 and, by its documented steps, others -119."""
    file = File(np.random.default_rng(0))
    x = file.activation(1, scale=0.05296124517917633, zero_point=-124)
    weight = file.constant(np.array([[1]], np.int8), [0.024093778803944588])
    bias = file.constant(np.array([585 - 24], np.int32), [0.05296124517917633 * 0.024093778803944588])
    output = file.activation(1, scale=0.11484327912330627, zero_point=-126)
    file.operator("FULLY_CONNECTED", [x, weight, bias], output, schema.FullyConnectedOptionsT())
    network, found = read_int8(file.write(tmp_path / "net.tflite"))
    assert max(found.layer_lsb.values()) <= 1
    (ofmap,) = golden.run(network, np.full((1, 1, 1, 1), -100, np.int8))[network.layers[0].name].ravel()
    assert ofmap in (-120, -119)  # 585 * 0.0111111119 = 6.5000005: a tie, but for the multiplier's last bits


def minus_infinity(file: File, x: int) -> None:
    amounts = file.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    least = file.constant(np.array(-128, np.int8), [0.05])
    padded = file.operator("PADV2", [x, amounts, least], file.like(x, 11, 10, 4), schema.PadV2OptionsT())
    file.pool("MAX_POOL_2D", padded, (11, 10, 4), (3, 3), (2, 2))


def offset_weights(file: File, x: int) -> None:
    per_channel_dense(file, x)
    file.tensors[file.operators[-1].inputs[1]].quantization.zeroPoint = [3] * 6


def wrong_axis(file: File, x: int) -> None:
    file.conv(x, (9, 8, 4))
    file.tensors[file.operators[-1].inputs[1]].quantization.quantizedDimension = 3


def dilated_by_batches(file: File, x: int) -> None:
    """As the converter writes a dilation."""
    sizes, amounts = file.constant(np.array([2, 2], np.int32)), file.constant(np.zeros((2, 2), np.int32))
    file.operator("SPACE_TO_BATCH_ND", [x, sizes, amounts], file.like(x, 4, 4, 4), schema.SpaceToBatchNDOptionsT())


def rescaling_pool(file: File, x: int) -> None:
    file.tensors[file.pool("MAX_POOL_2D", x, (9, 8, 4))].quantization.scale = [0.07]


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        report("PINTO0309/onnx2tf#446", minus_infinity, "unsupported operator PADV2 at node 0"),
        report("tensorflow/tensorflow#51853", offset_weights, "its weights must have zero point 0"),
        report("tensorflow/tensorflow#66081", wrong_axis, "one for each channel along dimension 0"),
        report("tensorflow/tflite-micro#1646", dilated_by_batches, "unsupported operator SPACE_TO_BATCH_ND at node 0"),
        report("tensorflow/tensorflow#47447", rescaling_pool, "its output must have its input's scale and zero point"),
    ],
)
def test_tflite_refused(build, fault, rng, tmp_path):
    file = File(rng)
    build(file, file.activation(9, 8, 4))
    with pytest.raises(DeeplockError, match=fault):
        read_int8(file.write(tmp_path / "net.tflite"))
