"""ONNX files in QDQ form, each layer held against onnxruntime; what is not understood is refused by operator and node."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.engine import against_engine
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.onnx import module
from deeplock.pymodel.frontends.onnx.engine import engine
from deeplock.pymodel.frontends.onnx.module import read_module
from deeplock.pymodel.frontends.onnx.network import read_network
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.operators.depthwise import Depthwise
from tests.pymodel.frontends.onnx_files import Float, quantised

FEW_BYTES = 0.01
"""Share of bytes that may differ in these small layers, but in sums, whose weights hold the ratio of scales to 7 bits."""


def residual(rng, **more) -> Float:
    """A network of every operator."""
    net = Float(rng, 3, 12, 8, **more)
    x = net.node("Relu", net.conv("x", 3, 6, (5, 3), pads=[1, 0, 2, 1]))
    y = net.conv(x, 6, 6, (3, 3), pads=[1, 1, 1, 1])
    x = net.node("Relu", net.node("Add", x, y))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = net.conv(x, 6, 6, (3, 3), group=6, pads=[1, 1, 1, 1])
    y = net.node("Clip", y, net.constant(np.float32(0)), net.constant(np.float32(6)))
    x = net.node("AveragePool", net.node("Add", y, x), kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Relu", net.dense(net.node("Flatten", x), 12, 9))
    net.dense(net.node("Dropout", x), 9, 5)
    return net


KINDS = ["conv", "conv", "add", "max_pool", "depthwise", "add", "average_pool", "conv", "conv"]


@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
@pytest.mark.parametrize("activation", [QuantType.QInt8, QuantType.QUInt8], ids=["int8", "uint8"])
def test_a_network_of_every_operator_agrees_layer_by_layer(activation, per_channel, rng, tmp_path):
    network, found = read_int8(quantised(residual(rng), tmp_path / "net.onnx", per_channel, activation))
    assert [layer.kind for layer in network.layers] == KINDS
    assert network.layers[0].padding == (1, 0, 2, 1) and found.engine == f"onnxruntime {onnxruntime.__version__}"
    assert set(found.layer_lsb.values()) <= {0, 1} and found.agreement >= 0.8
    for layer in network.layers:
        assert layer.kind in ("add", "average_pool") or found.layer_share[layer.name] <= FEW_BYTES
    ifmaps = rng.integers(-128, 128, (4, 12, 8, 3), np.int8)
    expected = golden.run(network, ifmaps)
    assert all(np.array_equal(expected[name], tensor) for name, tensor in reference.run(network, ifmaps).items())


def test_a_relu_between_two_quantisations_becomes_part_of_the_layer_before(rng, tmp_path):
    """Symmetric activations. onnxruntime's quantiser gives both the same scale, so that the second rounding is exact."""
    path = quantised(residual(rng), tmp_path / "net.onnx", ActivationSymmetric=True)
    assert sum(node.op_type in ("Relu", "Clip") for node in onnx.load(path).graph.node) == 4
    read = read_network(path)
    assert [layer.kind for layer in read.network.layers] == KINDS and read.slack == {}
    assert {layer.zero_point for layer in read.network.layers if layer.kind != "max_pool"} == {0}
    found = against_engine(read, *engine(path, read))
    assert set(found.layer_lsb.values()) <= {0, 1}
    for layer in read.network.layers:
        assert layer.kind in ("add", "average_pool") or found.layer_share[layer.name] <= FEW_BYTES


def test_what_rounding_to_two_scales_changes_is_allowed_for_and_no_more(rng, tmp_path):
    net = Float(rng, 3, 8, 8)
    net.node("Relu", net.conv("x", 3, 4))
    path = quantised(net, tmp_path / "net.onnx", ActivationSymmetric=True)
    changed(path, lambda graph: scaled(graph, "conv_0_out_scale", 2.5))
    read = read_network(path)
    assert read.slack == pytest.approx({"conv_0": 1.25}, abs=1e-4)
    found = against_engine(read, *engine(path, read))
    assert found.layer_lsb["conv_0"] == 2 and found.layer_share["conv_0"] > 0.2
    exact = replace(read, slack={})
    with pytest.raises(DeeplockError, match="was misread"):
        against_engine(exact, *engine(path, exact))


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_dense_weights_behind_a_flatten_change_their_order(batch, rng, tmp_path):
    net = Float(rng, 3, 4, 5, batch=batch)
    x = net.node("Reshape", "x", net.constant(np.array([0 if batch == "n" else batch, -1])))
    net.dense(x, 60, 7)
    path = quantised(net, tmp_path / "net.onnx")
    read = read_network(path)
    (layer,) = read.network.layers
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    (weights,) = (array for name, array in stored.items() if array.shape == (7, 60))
    assert np.array_equal(layer.weight[3, 1, 2], weights[3].reshape(3, 4, 5)[:, 1, 2])
    assert against_engine(read, *engine(path, read)).layer_lsb[layer.name] <= 1


def test_inputs_of_features_and_matmul(rng, tmp_path):
    net = Float(rng, 40)
    x = net.node("MatMul", "x", net.random(40, 12, scale=0.2))
    net.node("MatMul", net.node("Relu", x), net.random(12, 3, scale=0.3))
    for per_channel in (True, False):
        path = quantised(net, tmp_path / "net.onnx", per_channel)
        read = read_network(path)
        assert read.network.input_shape == (1, 1, 40)
        assert max(against_engine(read, *engine(path, read)).layer_lsb.values()) <= 1


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_means_over_height_and_width(opset, rng, tmp_path):
    net = Float(rng, 4, 6, 5, opset=opset)
    x = net.node("GlobalAveragePool", net.conv("x", 4, 8))
    path = quantised(net, tmp_path / "global.onnx")
    assert max(read_int8(path)[1].layer_lsb.values()) <= 1
    net.dense(net.node("Flatten", x), 8, 3)
    assert [layer.kind for layer in read_network(quantised(net, path)).network.layers] == [
        "conv",
        "average_pool",
        "conv",
    ]
    net = Float(rng, 4, 6, 5, opset=opset)
    axes = {"axes": [2, 3]} if opset < 18 else {}
    more = [net.constant(np.array([-1, 2]))] if opset >= 18 else []
    net.dense(net.node("ReduceMean", net.conv("x", 4, 8), *more, keepdims=0, **axes), 8, 3)
    assert max(read_int8(quantised(net, path))[1].layer_lsb.values()) <= 1


FUNCTIONS = [
    *((kind, {}) for kind in ("Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Elu", "HardSigmoid", "Gelu")),
    *(("LeakyRelu", {"alpha": 0.3}), ("Elu", {"alpha": 0.5}), ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})),
    ("Gelu", {"approximate": "tanh"}),
]


@pytest.mark.parametrize("kind, options", FUNCTIONS, ids=str)
def test_functions_of_one_number(kind, options, rng, tmp_path):
    """In int8 and, where PyTorch has them, in float."""
    net = Float(rng, 3, 6, 5, opset=20)
    net.conv(net.node(kind, net.conv("x", 3, 8), **options), 8, 4)
    path = tmp_path / "net.onnx"
    network, found = read_int8(quantised(net, path))
    assert [layer.kind for layer in network.layers] == ["conv", "table", "conv"]
    assert max(found.layer_lsb.values()) <= 1 and found.layer_share[network.layers[1].name] <= 0.02
    if (kind, options) != ("HardSigmoid", {}):
        images = torch.from_numpy(rng.normal(0, 1, (16, 3, 6, 5))).float()
        network, _ = quantise(read_module(net.write(path), images), images, "net")
        assert [layer.kind for layer in network.layers] == ["conv", "table", "conv"]


@pytest.mark.parametrize("activation", [QuantType.QInt8, QuantType.QUInt8], ids=["int8", "uint8"])
def test_products_of_one_shape_and_by_channel(activation, rng, tmp_path):
    """In int8 and in float, where they may also be by constants."""
    net = Float(rng, 3, 6, 5)
    x = net.conv("x", 3, 8, pads=[1, 1, 1, 1])
    gate = net.node("Sigmoid", net.conv(net.node("GlobalAveragePool", x), 8, 8, (1, 1)))
    y = net.node("Relu", net.node("Mul", gate, x))
    net.conv(net.node("Mul", y, net.conv("x", 3, 8, pads=[1, 1, 1, 1])), 8, 4)
    path, kinds = (
        tmp_path / "net.onnx",
        ["conv", "average_pool", "conv", "table", "multiply", "conv", "multiply", "conv"],
    )
    network, found = read_int8(quantised(net, path, activation=activation))
    assert sorted(layer.kind for layer in network.layers) == sorted(kinds) and max(found.layer_lsb.values()) <= 1
    for layer in network.layers:
        assert layer.kind != "multiply" or found.layer_share[layer.name] <= FEW_BYTES
    factors = rng.uniform(-1, 1, (4, 1, 1)).astype(np.float32)
    net.node("Mul", net.node("Mul", net.nodes[-1].output[0], net.constant(np.float32(0.3))), net.constant(factors))
    images = torch.from_numpy(rng.normal(0, 1, (16, 3, 6, 5))).float()
    network, _ = quantise(read_module(net.write(path), images), images, "net")
    assert [layer.kind for layer in network.layers] == [*kinds, "depthwise", "depthwise"]


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 4])
def test_convolutions_of_every_padding_and_stride(group, stride, auto, rng, tmp_path):
    net = Float(rng, 4, 9, 8)
    net.conv("x", 4, 4, (4, 3), auto_pad=auto, strides=[stride, stride], group=group)
    path = quantised(net, tmp_path / "net.onnx")
    read = read_network(path)
    (layer,) = read.network.layers
    assert isinstance(layer, Depthwise) == (group == 4)
    found = against_engine(read, *engine(path, read))
    assert found.layer_lsb[layer.name] <= 1 and found.layer_share[layer.name] <= FEW_BYTES


@pytest.mark.parametrize(
    "kernel, strides, pads", [((3, 2), (2, 1), (1, 1, 2, 0)), ((3, 3), (2, 3), (0, 0, 0, 0))], ids=str
)
def test_pools_of_every_window_and_padding(kernel, strides, pads, rng, tmp_path):
    net = Float(rng, 4, 11, 20)
    window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    net.node("AveragePool", net.node("MaxPool", net.conv("x", 4, 4), **window), **window, count_include_pad=1)
    path = quantised(net, tmp_path / "net.onnx")
    read = read_network(path)
    assert [layer.kind for layer in read.network.layers] == ["conv", "max_pool", "average_pool"]
    found = against_engine(read, *engine(path, read))
    assert found.layer_lsb["maxpool_1"] == 0 and found.layer_lsb["averagepool_2"] <= 1


def test_weights_and_biases_in_float_are_read_too(rng, tmp_path):
    """As quantisation-aware training exports them: QuantizeLinear on the weights, the bias left in float."""
    net = Float(rng, 3, 6, 6)
    net.conv("x", 3, 4)
    path = quantised(net, tmp_path / "net.onnx", AddQDQPairToWeight=True, QuantizeBias=False)
    read = read_network(path)
    found = against_engine(read, *engine(path, read))
    assert set(found.layer_lsb.values()) <= {0, 1} and max(found.layer_share.values()) <= FEW_BYTES


def test_the_last_softmax_is_left_out(rng, tmp_path):
    net = Float(rng, 6)
    net.node("Softmax", net.dense("x", 6, 4))
    read = read_network(quantised(net, tmp_path / "net.onnx"))
    (note,) = read.notes
    assert note.startswith("Softmax at node ") and len(read.network.layers) == 1


def changed(path: Path, change) -> Path:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def scaled(graph, name, factor):
    constant = next(each for each in graph.initializer if each.name == name)
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * np.float32(factor), name))


def weights_with_a_zero_point(graph):
    """A file of one convolution."""
    constant = next(each for each in graph.initializer if each.name == "constant_0_zero_point")
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) + np.int8(1), constant.name))


def other_bias_scale(graph):
    scaled(graph, "constant_1_quantized_scale", 1.01)


def output_in_float(graph):
    """Without the last QuantizeLinear and DequantizeLinear."""
    conv = next(node for node in graph.node if node.op_type == "Conv")
    graph.output[0].name = conv.output[0]
    del graph.node[-2:]


def input_in_float(graph):
    conv = next(node for node in graph.node if node.op_type == "Conv")
    conv.input[0] = "x"


@pytest.mark.parametrize(
    "change, fault",
    [
        (weights_with_a_zero_point, "weights and biases must have zero point 0"),
        (
            other_bias_scale,
            r"Conv at node \d+ \(conv_0\): its bias must be int32, with the scale of its input times",
        ),
        (output_in_float, "the network's output, .*, must be int8, behind QuantizeLinear"),
        (input_in_float, r"Conv at node \d+ \(conv_0\): its input must be int8, behind QuantizeLinear and Dequant"),
    ],
)
def test_other_quantisations_are_refused(change, fault, rng, tmp_path):
    net = Float(rng, 3, 6, 6)
    net.conv("x", 3, 4)
    with pytest.raises(DeeplockError, match=fault):
        read_network(changed(quantised(net, tmp_path / "net.onnx"), change))


def behind_conv(kind, *operands, **attributes):
    def build(net):
        net.node(kind, net.conv("x", 4, 4), *(net.constant(np.array(each)) for each in operands), **attributes)

    return build


def conv(**attributes):
    return lambda net: net.conv("x", 4, 4, **attributes)


def added_constant(net):
    net.node("Add", net.conv("x", 4, 4), net.random(1, 4, 1, 1, scale=1.0))


def broadcast(net):
    x = net.conv("x", 4, 4)
    net.node("Add", x, net.node("GlobalAveragePool", x))


def multiplied_constant(net):
    net.node("Mul", net.conv("x", 4, 4), net.random(1, 4, 1, 1, scale=1.0))


def multiplied_by_a_row(net):
    x = net.conv("x", 4, 4)
    net.node("Mul", x, net.node("MaxPool", x, kernel_shape=[4, 1]))


def not_flat(net):
    net.node("MatMul", net.conv("x", 4, 4), net.random(4, 3, scale=1.0))


def relu_of_two_users(net):
    x = net.conv("x", 4, 4)
    net.node("Add", x, net.node("Relu", x))


def relu_of_the_input(net):
    net.conv(net.node("Relu", "x"), 4, 4)


def softmax_in_the_middle(net):
    x = net.node("Flatten", net.node("GlobalAveragePool", "x"))
    net.dense(net.node("Softmax", x), 4, 3)


def flattened_output(net):
    net.node("Flatten", net.conv("x", 4, 4))


def two_inputs_of_pool(net):
    net.node("Reshape", net.conv("x", 4, 4), net.constant(np.array([0, 4, 2, 8])))


@pytest.mark.parametrize(
    "build, fault",
    [
        (
            behind_conv("Cos"),
            r"unsupported operator Cos at node \d+ \(cos_1\): supported: Conv, ConvTranspose, Gemm, ",
        ),
        (
            behind_conv("Transpose", perm=[0, 2, 3, 1]),
            r"unsupported operator Transpose at node \d+ \(transpose_1\): supported",
        ),
        (behind_conv("MaxPool", kernel_shape=[2, 2], dilations=[1, 2]), r"dilations must be 1, not \[1, 2\]"),
        (behind_conv("Slice", [1], [3], [2]), r"must be of channels, dimension 1, alone, in steps of 1, not of \[2\]"),
        (conv(strides=[1, 16]), r"strides must be 1 to 15, not \[1, 16\]"),
        (behind_conv("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), "count_include_pad must be 1"),
        (behind_conv("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), "ceil_mode must be 0"),
        (behind_conv("ReduceMean", axes=[1]), r"must be over height and width, dimensions \[2, 3\], not \[1\]"),
        (behind_conv("Flatten", axis=2), "axis must be 1, not 2"),
        (two_inputs_of_pool, r"must flatten to \[n, 64\], or undo that, not make it \[4, 2, 8\]"),
        (behind_conv("Softmax"), "must be over the channels of one pixel"),
        (added_constant, "both of its inputs must be activations"),
        (broadcast, r"its inputs must have one shape, not \[4, 4, 4\] and \[1, 1, 4\]"),
        (multiplied_constant, "both of its inputs must be activations"),
        (multiplied_by_a_row, r"or one of them one pixel, not \[4, 4, 4\] and \[1, 4, 4\]"),
        (not_flat, "flatten it first"),
        (relu_of_two_users, "layer conv_0: a clamp behind it must be the only user of its result"),
        (relu_of_the_input, r"Relu at node \d+ \(relu_0\): its input must be int8, behind QuantizeLinear"),
        (softmax_in_the_middle, "Softmax must be at the network's end"),
        (flattened_output, "the network's output must not be flattened, unless it has one pixel"),
    ],
)
def test_what_is_not_understood_is_refused_by_operator_and_node(build, fault, rng, tmp_path):
    net = Float(rng, 4, 6, 6)
    build(net)
    with pytest.raises(DeeplockError, match=fault):
        read_network(quantised(net, tmp_path / "net.onnx", ActivationSymmetric=True))


def test_files_that_are_none_are_refused(rng, tmp_path):
    path, net = tmp_path / "net.onnx", Float(rng, 4, 6, 6)
    net.conv("x", 4, 4)
    with pytest.raises(DeeplockError, match="is in float: it is quantised with images"):
        read_network(net.write(path))
    content = quantised(net, path).read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DeeplockError, match="truncated, or not an ONNX file|the network must have one input"):
            read_network(path)
    for _ in range(100):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            read_network(path)
        except DeeplockError as error:
            assert "\n" not in str(error)
    net = Float(rng, 3, 4, 6, 6)
    net.node("Relu", "x")
    with pytest.raises(
        DeeplockError, match=r"must be float \[n, channels, height, width\], .* or \[n, features\], not float \[0, 3, "
    ):
        read_network(net.write(path))


@pytest.mark.parametrize(
    "name, broken",
    [
        ("_bias", lambda node, operand, unit, out: np.zeros(out, np.int64)),
        ("_window", lambda *_: ((1, 1), (1, 1, 0, 0))),
    ],
)
def test_a_reader_that_is_broken_is_caught(name, broken, rng, monkeypatch, tmp_path):
    monkeypatch.setattr(f"deeplock.pymodel.frontends.onnx.operators.{name}", broken)
    net = Float(rng, 3, 8, 8)
    net.conv("x", 3, 5, pads=[0, 0, 1, 1])
    with pytest.raises(DeeplockError, match="net.onnx: layer conv_0 was misread: .* onnxruntime 1.*, must be at most"):
        read_int8(quantised(net, tmp_path / "net.onnx"))


def in_float(rng) -> Float:
    """A network in float of every operator."""
    net = Float(rng, 3, 12, 8)
    x = net.conv("x", 3, 6, pads=[1, 1, 1, 1])
    x = net.node("BatchNormalization", x, *(net.constant(rng.uniform(0.5, 2, 6).astype(np.float32)) for _ in range(4)))
    x = net.node("Relu", x)
    x = net.node("Relu", net.node("Add", x, net.conv(x, 6, 6, group=6, pads=[1, 1, 1, 1])))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("AveragePool", net.node("Identity", x), kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Clip", net.conv(x, 6, 8, (1, 1)), net.constant(np.float32(0)), net.constant(np.float32(6)))
    x = net.node("Reshape", net.node("GlobalAveragePool", x), net.constant(np.array([0, -1])))
    net.node("MatMul", net.node("Dropout", net.node("Relu", net.dense(x, 8, 7))), net.random(7, 5, scale=0.4))
    return net


def test_a_network_in_float_is_quantised_as_pytorchs(rng, tmp_path):
    path, images = (
        in_float(rng).write(tmp_path / "net.onnx"),
        torch.from_numpy(rng.normal(0, 1, (64, 3, 12, 8))).float(),
    )
    network, found = quantise(read_module(path, images), images, "net")
    kinds = ["conv", "depthwise", "add", "max_pool", "average_pool", "conv", "average_pool", "conv", "conv"]
    assert [layer.kind for layer in network.layers] == kinds
    assert network.layers[0].name == "conv_0" and set(found.layer_lsb.values()) <= {0, 1} and found.agreement >= 0.8
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": images.numpy()})
    ofmaps = golden.run(network, network.input.quantise(images.permute(0, 2, 3, 1).numpy()))[network.layers[-1].name]
    error = network.output.dequantise(ofmaps).reshape(64, 5) - expected
    assert np.abs(error).mean() < 2 * network.output.scale


def test_a_tensor_may_have_the_name_of_a_parameter(rng, tmp_path):
    net = Float(rng, 3, 6, 6)
    net.conv("x", 3, 4)
    path = net.write(tmp_path / "net.onnx")
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "input_1"
    onnx.save(model, path)
    read_module(path, torch.ones(2, 3, 6, 6))


def padded_on_one_side(net):
    net.node("MaxPool", net.conv("x", 3, 4), kernel_shape=[2, 2], pads=[0, 0, 1, 1])


def cosine(net):
    net.node("Cos", net.conv("x", 3, 4))


def steep(net):
    net.node("HardSigmoid", net.conv("x", 3, 4))


@pytest.mark.parametrize(
    "build, fault",
    [
        (
            padded_on_one_side,
            r"MaxPool at node 1 \(maxpool_1\): pads must be given, and be the same on both sides, not \[0, 0, 1, 1\]",
        ),
        (cosine, r"Cos at node 1 \(cos_1\): supported in float: Conv, ConvTranspose, Gemm"),
        (steep, r"HardSigmoid at node 1 .*alpha and beta must be 1/6 and 0.5, not 0.2 and 0.5"),
    ],
)
def test_what_is_not_understood_in_float_is_refused(build, fault, rng, tmp_path):
    net = Float(rng, 3, 6, 6)
    build(net)
    with pytest.raises(DeeplockError, match=fault):
        read_module(net.write(tmp_path / "net.onnx"), torch.zeros(2, 3, 6, 6))


def test_a_misread_network_in_float_and_images_of_another_size_are_told(rng, monkeypatch, tmp_path):
    path = in_float(rng).write(tmp_path / "net.onnx")
    with pytest.raises(DeeplockError, match=r"the network takes \[1, 3, 12, 8\], the images are \[2, 3, 6, 6\]"):
        read_module(path, torch.zeros(2, 3, 6, 6))
    monkeypatch.setitem(module.SUPPORTED, "Relu", lambda node: torch.abs)
    with pytest.raises(
        DeeplockError, match="misread: its outputs in float differ from onnxruntime's by .* of the largest"
    ):
        read_module(path, torch.ones(2, 3, 12, 8))
    monkeypatch.setitem(module.SUPPORTED, "Relu", lambda node: torch.t)
    with pytest.raises(DeeplockError, match="misread: t\\(\\) expects a tensor with <= 2 dimensions"):
        read_module(path, torch.ones(2, 3, 12, 8))
