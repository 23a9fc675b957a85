"""Networks of several outputs, from each format: each output against the engine's, and compiled."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.engine import against_engine
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.onnx.engine import engine as onnxruntime
from deeplock.pymodel.frontends.onnx.module import read_module
from deeplock.pymodel.frontends.onnx.network import read_network as read_onnx
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.frontends.tflite.network import read_network as read_tflite
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.tensor import split_outputs
from tests.pymodel.frontends.networks import Net, inputs_of, trained_norms
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import File

CONFIG = Config(rows=4, cols=4, bytes_per_beat=4)


def detector() -> nn.Module:
    """Boxes and classes at two sizes, and one class for all."""

    def forward(m, x):
        x = F.relu(m.first(x))
        y = F.relu(m.norm(m.second(x)))
        return m.boxes(x), m.classes(x), (y, m.all(F.adaptive_avg_pool2d(y, 1).flatten(1)))

    return trained_norms(
        Net(
            forward,
            first=nn.Conv2d(3, 8, 3, 2, 1), second=nn.Conv2d(8, 12, 3, 2, 1), norm=nn.BatchNorm2d(12),
            boxes=nn.Conv2d(8, 4, 3, padding=1), classes=nn.Conv2d(8, 5, 1), all=nn.Linear(12, 3),
        )
    )  # fmt: skip


def check(network: Network, names: tuple[str, ...], shapes: list[tuple[int, int, int]]) -> None:
    """What the compiled network gives is what its layers give, at the end."""
    assert network.ends == names and [output.shape for output in network.outputs] == shapes
    ifmaps = np.random.default_rng(0).integers(-128, 128, (2, *network.input_shape), np.int8)
    loadable = compile_network(network, CONFIG)
    assert loadable.interface.outputs == network.outputs
    parts = split_outputs(interpreter.run(loadable, b"", ifmaps, CONFIG), network.outputs)
    ofmaps = golden.run(network, ifmaps)
    for name, part in zip(names, parts, strict=True):
        assert np.array_equal(part, ofmaps[name])


def test_pytorch():
    torch.manual_seed(0)
    inputs, module = inputs_of((3, 12, 10)), detector()
    network, found = quantise(module, inputs, "detector")
    check(network, ("boxes", "classes", "second", "all"), [(6, 5, 4), (6, 5, 5), (3, 3, 12), (1, 1, 3)])
    assert set(found.layer_lsb.values()) <= {0, 1} and "outputs" not in found.layer_lsb
    ofmaps = golden.run(network, network.input.quantise(inputs.permute(0, 2, 3, 1).numpy()))
    boxes, classes, (maps, whole) = module.eval()(inputs)
    for output, expected in zip(network.outputs, (boxes, classes, maps, whole), strict=True):
        real = output.quantisation.dequantise(ofmaps[output.name]).transpose(0, 3, 1, 2)
        error = np.abs(real.reshape(expected.shape) - expected.detach().numpy()).mean()
        assert error <= 2 * output.quantisation.scale


def test_an_output_in_the_middle_keeps_what_a_relu_behind_it_cuts_off():
    """PyTorch's graph requantises once for both, if nothing else reads the convolution; an output does."""
    module = Net(lambda m, x: (x := m.a(x), m.b(F.relu(x))), a=nn.Conv2d(2, 4, 3), b=nn.Conv2d(4, 3, 1))
    with pytest.raises(DeeplockError, match="relu.default at node relu: must follow conv2d"):
        quantise(module, inputs_of((2, 6, 6)), "net")


def test_tflite(rng, tmp_path):
    file, shape = File(rng), (8, 6, 3)
    x = file.conv(file.activation(*shape), shape, stride=2, out=6)
    boxes = file.conv(x, (4, 3, 6), out=4)
    whole = file.softmax(file.dense(file.reshape(file.mean(x, 6), 6), 6, 5), 5)
    read = read_tflite(file.write(tmp_path / "net.tflite", 0, whole, boxes))
    network, found = read_int8(tmp_path / "net.tflite")
    assert read.notes == ("SOFTMAX at node 5 is left out: the largest output stays the same",)
    assert found.agreement >= 0.9 and set(found.layer_lsb.values()) <= {0, 1}
    check(network, ("fully_connected_4", "conv_2d_1"), [(1, 1, 5), (4, 3, 4)])


def _heads(rng) -> tuple[Float, list[str]]:
    net = Float(rng, 3, 8, 6)
    x = net.node("Relu", net.conv("x", 3, 6))
    pooled = net.node("Flatten", net.node("GlobalAveragePool", x))
    return net, [net.conv(x, 6, 4, (1, 1)), net.dense(pooled, 6, 5)]


def test_onnx(rng, tmp_path):
    net, outputs = _heads(rng)
    path = quantised(net, tmp_path / "net.onnx", outputs=outputs)
    read = read_onnx(path)
    found = against_engine(read, *onnxruntime(path, read))
    assert set(found.layer_lsb.values()) <= {0, 1} and found.agreement >= 0.9
    check(read.network, tuple(output.name for output in read.network.outputs), [(6, 4, 4), (1, 1, 5)])


@pytest.mark.parametrize("by", ["a DequantizeLinear of its own", "int8"])
def test_an_output_that_a_relu_of_the_file_reads_too_is_refused(by, rng, tmp_path):
    """onnxruntime's quantiser may give each reader of a tensor a DequantizeLinear of its own."""
    net = Float(rng, 2, 6, 6)
    net.conv(net.node("Relu", net.conv("x", 2, 4)), 4, 3)
    path = quantised(net, tmp_path / "net.onnx", ActivationSymmetric=True)
    model = onnx.load(path)
    (relu,) = (node for node in model.graph.node if node.op_type == "Relu")
    (read,) = (node for node in model.graph.node if relu.input[0] in node.output)
    name, kind = read.input[0], onnx.TensorProto.INT8
    if by != "int8":
        name, kind = "own", onnx.TensorProto.FLOAT
        model.graph.node.append(onnx.helper.make_node("DequantizeLinear", read.input, [name]))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info(name, kind, [None, 4, 4, 4]))
    onnx.save(model, path)
    with pytest.raises(DeeplockError, match="^layer conv_0: a clamp behind it must be the only user of its result"):
        read_onnx(path)


def test_a_tflite_output_that_a_relu_behind_a_reshape_reads_is_refused(rng, tmp_path):
    file = File(rng)
    x = file.conv(file.activation(1, 4, 3), (1, 4, 3), (1, 1), out=4)
    y = file.operator("RELU", [file.reshape(x, 4, 4)], file.like(x, 4, 4))
    with pytest.raises(DeeplockError, match="^layer conv_2d_0: a clamp behind it must be the only user of its result"):
        read_tflite(file.write(tmp_path / "net.tflite", 0, x, y))


def test_onnx_in_float(rng, tmp_path):
    torch.manual_seed(0)
    net, outputs = _heads(rng)
    inputs = inputs_of((3, 8, 6))
    program = read_module(net.write(tmp_path / "net.onnx", *outputs), inputs)
    network, found = quantise(program, inputs, "net")
    assert found.graph_error <= 1e-5 and found.agreement >= 0.8
    check(network, tuple(output.name for output in network.outputs), [(6, 4, 4), (1, 1, 5)])
