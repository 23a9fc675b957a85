"""Groups, dilation, concatenation, slices, padding and lines of pixels in every front end, each held against its engine."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.onnx.module import read_module
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.frontends.tflite.network import read_network
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.spec.tensor import Pixels
from deeplock.pymodel.zoo.images import labelled_images
from deeplock.pymodel.zoo.pipeline import quantise_program
from tests.pymodel.frontends.networks import Net, inputs_of, trained_norms
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import File, schema


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]


def same_in_reference(network: Network, rng) -> None:
    ifmaps = rng.integers(-128, 128, (3, *network.input_shape), np.int8)
    expected = golden.run(network, ifmaps)
    assert all(np.array_equal(expected[name], tensor) for name, tensor in reference.run(network, ifmaps).items())


class Temporal(nn.Module):
    """As in TCNs: dilated convolutions that see the past only, by padding before or by cutting the end off behind."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 8, 3, padding=2)
        self.second = nn.Conv1d(8, 8, 3, dilation=2)
        self.third = nn.Conv1d(8, 8, 3, dilation=4, padding="same", groups=4, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x)[:, :, :-2])
        x = x + F.relu(self.second(F.pad(x, (4, 0))))
        x = F.max_pool1d(F.relu(self.norm(self.third(x))), 2)
        return self.dense(F.avg_pool1d(x, 2).mean(-1))


def joined() -> nn.Module:
    """As DenseNet and Inception: batch norms of their own, channels side by side, halves of channels, a ReLU behind them."""

    def forward(m, x):
        y = torch.cat([x, m.a(F.relu(m.norm(x)))], 1)
        y = torch.cat([y, m.b(y), F.max_pool2d(y, 3, 1, 1)], 1)
        left, right = y.chunk(2, 1)
        y = F.relu(torch.cat([m.c(left), left + right], 1))
        return m.d(torch.cat([F.adaptive_max_pool2d(y, 1).flatten(1), y.mean((2, 3))], 1))

    parts = {"norm": nn.BatchNorm2d(4), "a": nn.Conv2d(4, 3, 3, padding=1), "b": nn.Conv2d(7, 6, 1)}
    return Net(forward, **parts, c=nn.Conv2d(10, 4, (3, 1), padding=(2, 0), dilation=(2, 1)), d=nn.Linear(28, 5))


@pytest.mark.parametrize(
    ("build", "shape", "expected"),
    [
        (Temporal, (3, 20), ["conv", "conv", "add", "grouped", "max_pool", "average_pool", "average_pool", "conv"]),
        (
            joined,
            (4, 7, 6),
            [
                *["depthwise", "conv", "concat", "conv", "max_pool", "concat", "cut", "cut", "conv", "add", "concat"],
                *["max_pool", "average_pool", "concat", "conv"],
            ],
        ),
        (
            lambda: nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.BatchNorm1d(9), nn.Linear(9, 4), nn.BatchNorm1d(4)),
            (12,),
            ["conv", "depthwise", "conv"],
        ),
        (
            lambda: nn.Sequential(
                nn.Conv2d(4, 12, 3, groups=4), nn.ReLU(), nn.Conv2d(12, 6, (2, 3), groups=3, dilation=(3, 2), padding=2)
            ),
            (4, 8, 9),
            ["grouped", "grouped"],
        ),
    ],
)
def test_pytorch(build, shape, expected, rng):
    torch.manual_seed(1)
    module, inputs = trained_norms(build()), inputs_of(shape)
    network, found = quantise(module, inputs, "net")
    assert sorted(kinds(network)) == sorted(expected)
    assert set(found.layer_lsb.values()) <= {0, 1} and found.output_lsb < 1.5
    same_in_reference(network, rng)


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_time_series_are_rows_of_an_array(kind, rng, tmp_path):
    path, images = tmp_path / f"net.{kind}", tmp_path / "series.npy"
    np.save(images, rng.normal(0, 1, (32, 16, 3)).astype(np.float32))  # width, channels
    if kind == "onnx":
        onnx_line(rng).write(path)
    else:
        dynamic = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(trained_norms(Temporal()), (torch.zeros(2, 3, 16),), dynamic_shapes=dynamic)
        torch.export.save(program, path)
    network, found = quantise_program(path, images)
    assert network.input_shape == (1, 16, 3) and set(found.layer_lsb.values()) <= {0, 1}
    assert labelled_images(images, None, Pixels(), network.input_shape, 5).real.shape == (5, 1, 16, 3)


def test_no_weight_of_a_batch_norm_of_its_own_can_be_told_beforehand():
    """Quantised by itself each is 127 or -127, a known byte of the stream. The scales make up for what they are instead."""
    torch.manual_seed(3)
    module, inputs = nn.Sequential(trained_norms(nn.BatchNorm2d(200)), nn.Conv2d(200, 2, 1)), inputs_of((200, 2, 2))
    first, again = (quantise(module.eval(), inputs, "net")[0].layers[0] for _ in range(2))
    counts = np.bincount(first.weight.ravel(), minlength=128)
    assert np.array_equal(first.weight, again.weight) and counts[:64].sum() == 0 and counts.max() <= 12
    factor = first.weight.ravel() * first.multiplier * 2.0**-first.shift
    norm = module[0]
    expected = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    ratio = factor / expected
    assert np.abs(ratio / ratio.mean() - 1).max() < 1e-4


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConstantPad2d(1, 0.5)), "node pad: must pad with 0"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ZeroPad2d(-1)), "node pad: must pad height and width, and cut nothing off"),
        (nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(2)), "node max_pool2d: a pad must be followed by convolutions"),
        (Net(lambda m, x: m.a(x[:, :, 1:]), a=nn.Conv2d(2, 2, 3)), "node slice_2: must be of channels, dimension 1, in steps"),
        (Net(lambda m, x: m.a(x)[:, ::2], a=nn.Conv2d(2, 4, 3)), "node slice_2: must be of channels, dimension 1, in steps"),
        (Net(lambda m, x: torch.cat([m.a(x)] * 2, 2), a=nn.Conv2d(2, 4, 3)), "node cat: must be along dimension 1, not 2"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveMaxPool2d(2)), "operator aten.adaptive_max_pool2d.default at node"),
        (Net(lambda m, x: m.a(x).flatten(2).mean(1), a=nn.Conv2d(2, 4, 3)), "node flatten: must flatten to"),
    ],
)  # fmt: skip
def test_what_pytorch_has_beyond_is_refused(module, message):
    with pytest.raises(DeeplockError, match=message) as error:
        quantise(module, inputs_of((2, 8, 8)), "net")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)], ids=str)
@pytest.mark.parametrize(("channels", "out"), [(6, 6), (6, 9), (1, 5)], ids=str)
def test_tflite_convolutions(channels, out, dilation, rng, tmp_path):
    """Groups of 2 channels, then a depthwise convolution of two channels for each, of pixels that lie apart."""
    file, shape = File(rng), (9, 8, channels)
    x = file.conv(file.activation(*shape), (9, 8, min(channels, 2)), (3, 2), out=out * (channels > 1) or 4)
    made = file.tensors[x].shape[-1]
    x = file.depthwise(x, (9, 8, made), (3, 3), multiplier=2)
    for node in file.operators:
        node.builtinOptions.dilationHFactor, node.builtinOptions.dilationWFactor = dilation
    network, found = read_int8(file.write(tmp_path / "net.tflite"))
    assert kinds(network)[1] == "grouped" and kinds(network)[0] == ("conv" if channels == 1 else "grouped")
    assert set(found.layer_lsb.values()) <= {0, 1} and max(found.layer_share.values()) <= 0.01
    same_in_reference(network, rng)


def concatenated(rng, scale: float = 1.0) -> File:
    """A line of pixels: convolutions side by side, some of their channels, the largest of each."""
    file = File(rng)
    x = file.activation(12, 3)
    x = file.operator("EXPAND_DIMS", [x, file.constant(np.array(1, np.int32))], file.like(x, 1, 12, 3))
    y = file.conv(x, (1, 12, 3), (1, 3), out=5)
    z = file.conv(y, (1, 12, 5), (1, 3), out=4)
    file.tensors[z].quantization = file.tensors[y].quantization
    options = schema.ConcatenationOptionsT()
    options.axis = 3
    y = file.operator("CONCATENATION", [y, z], file.like(y, 1, 12, 9), options)
    file.tensors[y].quantization.scale = [scale * file.scale_of(y)]
    begin, size = (file.constant(np.array(each, np.int32)) for each in ((0, 0, 0, 2), (1, 1, 12, 6)))
    x = file.operator("SLICE", [y, begin, size], file.like(y, 1, 12, 6))
    begin, end, steps = (
        file.constant(np.array(each, np.int32)) for each in ((0, 0, 0, 0), (0, 0, 0, -1), (1, 1, 1, 1))
    )
    options = schema.StridedSliceOptionsT()
    options.beginMask, options.endMask = 7, 7
    x = file.operator("STRIDED_SLICE", [x, begin, end, steps], file.like(x, 1, 12, 5), options)
    options = schema.ReducerOptionsT()
    options.keepDims = False
    x = file.operator("REDUCE_MAX", [x, file.constant(np.array([1, 2], np.int32))], file.like(x, 5), options)
    file.dense(x, 5, 3)
    return file


def test_tflite_channels_side_by_side(rng, tmp_path):
    network, found = read_int8(concatenated(rng).write(tmp_path / "net.tflite"))
    assert kinds(network) == ["conv", "conv", "concat", "cut", "cut", "max_pool", "conv"]
    assert network.input_shape == (1, 12, 3)
    assert set(found.layer_lsb.values()) <= {0, 1} and found.layer_lsb["concatenation_3"] == 0
    same_in_reference(network, rng)


def wrong_axis(file: File) -> None:
    file.operators[3].builtinOptions.axis = 2


def of_pixels(file: File) -> None:
    file.operators[4].inputs[1:] = [file.constant(np.array(each, np.int32)) for each in ((0, 0, 1, 0), (1, 1, 6, 9))]


def in_steps(file: File) -> None:
    file.operators[5].inputs[3] = file.constant(np.array([1, 1, 1, 2], np.int32))


def with_a_constant(file: File) -> None:
    file.operators[3].inputs[1] = file.constant(np.zeros((1, 1, 12, 4), np.int8), [0.05])


def of_nothing(file: File) -> None:
    file.operators[4].inputs[1:] = [file.constant(np.array(each, np.int32)) for each in ((0, 0, 0, 2), (1, 1, 12, 0))]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (wrong_axis, "CONCATENATION at node 3 .*must be along the channels, the last dimension, not along 2"),
        (of_pixels, "SLICE at node 4 .*must be of channels, the last dimension, alone"),
        (in_steps, "STRIDED_SLICE at node 5 .*must be in steps of 1"),
        (with_a_constant, "CONCATENATION at node 3 .*all of its inputs must be activations"),
        (of_nothing, "SLICE at node 4 .*must leave a channel, not 2..1"),
    ],
)
def test_what_tflite_has_beyond_is_refused(change, fault, rng, tmp_path):
    file = concatenated(rng)
    change(file)
    with pytest.raises(DeeplockError, match=fault):
        read_network(file.write(tmp_path / "net.tflite"))


def parts(rng) -> File:
    """Of 9 channels three, and of one of them parts of unlike sizes, of which one is not used."""
    file = File(rng)
    x = file.conv(file.activation(6, 5, 3), (6, 5, 3), out=9)
    axis = file.constant(np.array(3, np.int32))
    first, _, last = file.parts("SPLIT", [axis, x], x, (6, 5), (3, 3, 3))
    y = file.add(first, last, (6, 5, 3))
    sizes = file.constant(np.array([1, 2], np.int32))
    part, _ = file.parts("SPLIT_V", [y, sizes, file.constant(np.array(-1, np.int32))], y, (6, 5), (1, 2))
    file.conv(part, (6, 5, 1), out=2)
    return file


def test_tflite_parts(rng, tmp_path):
    network, found = read_int8(parts(rng).write(tmp_path / "net.tflite"))
    assert [(layer.first, layer.channels) for layer in network.layers if isinstance(layer, Cut)] == [
        (0, 3),
        (6, 3),
        (0, 1),
    ]
    assert found.engine and set(found.layer_lsb.values()) <= {0, 1} and found.layer_lsb["split_1_2"] == 0
    same_in_reference(network, rng)


def test_a_tflite_split_of_pixels_is_refused(rng, tmp_path):
    file = parts(rng)
    file.operators[1].inputs[0] = file.constant(np.array(1, np.int32))
    with pytest.raises(DeeplockError, match=r"SPLIT at node 1 .*must be of channels, the last dimension, not \[1\]"):
        read_network(file.write(tmp_path / "net.tflite"))


def onnx_parts(rng) -> Float:
    """By sizes, and alike; each part is used."""
    net = Float(rng, 3, 6, 5)
    x = net.conv("x", 3, 10, (3, 3), pads=[1, 1, 1, 1])
    first, second, last = net.split(x, 3, net.constant(np.array([4, 2, 4])), axis=1)
    left, right = net.split(net.node("Add", first, last), 2, axis=-3)
    net.conv(net.node("Concat", net.node("Add", left, second), right, axis=1), 4, 3, (1, 1))
    return net


def test_onnx_parts(rng, tmp_path):
    network, found = read_int8(quantised(onnx_parts(rng), tmp_path / "net.onnx"))
    cuts = [(layer.first, layer.channels) for layer in network.layers if isinstance(layer, Cut)]
    assert cuts == [(0, 4), (4, 2), (6, 4), (0, 2), (2, 2)] and set(found.layer_lsb.values()) <= {0, 1}
    same_in_reference(network, rng)


def test_an_onnx_split_of_pixels_is_refused(rng, tmp_path):
    net = Float(rng, 3, 6, 5)
    net.conv(net.split(net.conv("x", 3, 4, (1, 1)), 2, axis=2)[0], 4, 3, (1, 1))
    with pytest.raises(DeeplockError, match="Split at node .* must be of channels, dimension 1, not 2"):
        read_int8(quantised(net, tmp_path / "net.onnx"))


def onnx_line(rng) -> Float:
    net = Float(rng, 3, 16)
    x = net.node("Relu", net.conv("x", 3, 6, (3,), pads=[2, 0]))
    x = net.node("Concat", x, net.conv(x, 6, 4, (3,), dilations=[2], pads=[4, 0], group=2), axis=1)
    x = net.node("MaxPool", x, kernel_shape=[2], strides=[2])
    x = net.node("Unsqueeze", net.conv(x, 10, 6, (1,)), net.constant(np.array([2])))
    x = net.node("Squeeze", net.node("GlobalMaxPool", x), net.constant(np.array([2, 3])))
    net.dense(x, 6, 4)
    return net


def onnx_picture(rng) -> Float:
    net = Float(rng, 4, 9, 8)
    x = net.node(
        "Pad", net.conv("x", 4, 4), net.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1])), net.constant(np.float32(0))
    )
    x = net.node("Relu", net.conv(x, 4, 12, (3, 3), group=4))  # 6 x 7 pixels
    y = net.conv(x, 12, 8, (3, 3), dilations=[2, 3], pads=[2, 3, 2, 3])
    x = net.node("Concat", x, y, net.node("MaxPool", y, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), axis=1)
    limits = (net.constant(np.array([each])) for each in (3, -2, 1))
    net.conv(net.node("Slice", x, *limits), 23, 4, (1, 1))
    return net


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (onnx_line, ["conv", "grouped", "concat", "max_pool", "conv", "max_pool", "average_pool", "conv"]),
        (onnx_picture, ["conv", "grouped", "conv", "max_pool", "concat", "cut", "conv"]),
    ],
)
def test_onnx(build, expected, rng, tmp_path):
    network, found = read_int8(quantised(build(rng), tmp_path / "net.onnx"))
    assert kinds(network) == expected and set(found.layer_lsb.values()) <= {0, 1}
    assert all(found.layer_share[layer.name] <= 0.01 for layer in network.layers if layer.kind != "concat")
    same_in_reference(network, rng)


@pytest.mark.parametrize("build", [onnx_line, onnx_picture, onnx_parts])
def test_onnx_in_float(build, rng, tmp_path):
    net = build(rng)
    images = torch.from_numpy(rng.normal(0, 1, (64, *net.shape)).astype(np.float32))
    network, found = quantise(read_module(net.write(tmp_path / "net.onnx"), images), images, "net")
    assert set(found.layer_lsb.values()) <= {0, 1} and found.output_lsb < 1.5
    assert output_shapes(network)[network.layers[-1].name][2] == (3 if build is onnx_parts else 4)
