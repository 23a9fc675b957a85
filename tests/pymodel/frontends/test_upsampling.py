"""Transposed convolutions, nearest upsampling and pixel shuffles in every front end, each held against its engine."""

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
from tests.pymodel.frontends.networks import Net, inputs_of, trained_norms
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.test_groups_and_places import kinds, same_in_reference
from tests.pymodel.frontends.tflite_files import SAME, VALID, File


def picture() -> nn.Module:
    """Unequal kernels, strides and paddings, a batch norm behind one, ReLUs behind what only moves bytes."""

    def forward(m, x):
        x = F.relu(F.interpolate(m.norm(m.a(x)), scale_factor=(2, 1)))
        x = F.relu(m.shuffle(m.b(x)))
        x = m.c(torch.cat([x, F.interpolate(x, size=x.shape[2:], mode="nearest")], 1))
        return F.interpolate(x, scale_factor=2, mode="nearest-exact")

    parts = {"a": nn.ConvTranspose2d(4, 8, 3, 2, 1, 1, bias=False), "norm": nn.BatchNorm2d(8)}
    parts |= {
        "b": nn.Conv2d(8, 12, 3),
        "shuffle": nn.PixelShuffle(2),
        "c": nn.ConvTranspose2d(6, 5, (2, 5), (2, 3), (0, 1)),
    }
    return Net(forward, **parts)


def line() -> nn.Module:
    return nn.Sequential(
        *(nn.ConvTranspose1d(4, 8, 4, 2, 1), nn.BatchNorm1d(8), nn.ReLU(), nn.Upsample(scale_factor=3)),
        *(nn.ConvTranspose1d(8, 3, 5, 4, output_padding=2), nn.Sigmoid()),
    )


@pytest.mark.parametrize(
    ("build", "shape", "expected"),
    [
        (
            picture,
            (4, 5, 6),
            ["transposed", "upsample", "conv", "depth_to_space", "upsample", "concat", "transposed", "upsample"],
        ),
        (line, (4, 6), ["transposed", "upsample", "transposed", "table"]),
    ],
)
def test_pytorch(build, shape, expected, rng):
    torch.manual_seed(1)
    network, found = quantise(trained_norms(build()), inputs_of(shape), "net")
    assert kinds(network) == expected
    assert set(found.layer_lsb.values()) <= {0, 1} and found.output_lsb < 1
    assert all(
        found.layer_lsb[layer.name] == 0 for layer in network.layers if layer.kind in ("upsample", "depth_to_space")
    )
    same_in_reference(network, rng)


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        (
            nn.ConvTranspose2d(4, 4, 3, 2, groups=2),
            "aten.conv_transpose2d.input at node .*: groups and dilation must be 1",
        ),
        (
            nn.ConvTranspose2d(4, 4, 3, dilation=2),
            "aten.conv_transpose2d.input at node .*: groups and dilation must be 1",
        ),
        (
            nn.ConvTranspose2d(4, 4, 2, 3),
            r"its kernel must be at least as large as its stride, not \[2, 2\] and \[3, 3\]",
        ),
        (
            nn.ConvTranspose2d(4, 4, 3, 2, 2),
            r"its padding must be at most \[1, 1\], kernel minus stride, not .*\[2, 2, 2, 2\]",
        ),
        (
            nn.Upsample(scale_factor=1.5),
            r"aten.upsample_nearest2d.vec at node .*: its factors must be whole .*\[5, 6\] to \[7, 9\]",
        ),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "unsupported operator aten.upsample_bilinear2d.vec at node"),
    ],
)
def test_what_pytorch_has_beyond_is_refused(module, fault):
    with pytest.raises(DeeplockError, match=fault):
        quantise(nn.Sequential(nn.Conv2d(4, 4, 1), module, nn.Conv2d(4, 2, 1)), inputs_of((4, 5, 6)), "net")


def upsampled(rng) -> File:
    """SAME with an odd pixel, VALID with kernels as large as their strides, without a bias; then what only moves bytes."""
    file = File(rng)
    x = file.transposed(file.activation(4, 5, 6), (4, 5, 6), (3, 4), (2, 1), SAME, out=5)
    x = file.transposed(x, (8, 5, 5), (2, 3), (2, 3), VALID, out=8, bias=False)
    x = file.resize(x, (16, 15, 8), 32, 15, halfPixelCenters=True)
    x = file.blocks(x, (32, 15, 8), 2)
    file.conv(x, (64, 30, 2), out=3)
    return file


def test_tflite(rng, tmp_path):
    network, found = read_int8(upsampled(rng).write(tmp_path / "net.tflite"))
    assert kinds(network) == ["transposed", "transposed", "upsample", "depth_to_space", "conv"]
    assert found.engine and list(found.layer_lsb.values())[2:4] == [0, 0] and set(found.layer_lsb.values()) <= {0, 1}
    same_in_reference(network, rng)


def in_thirds(file: File) -> None:
    file.operators[2].inputs[1] = file.constant(np.array([24, 15], np.int32))


def corners(file: File) -> None:
    file.operators[2].builtinOptions.alignCorners = True


def large_stride(file: File) -> None:
    file.operators[1].builtinOptions.strideW = 4


def of_three(file: File) -> None:
    file.operators[3].builtinOptions.blockSize = 3


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (in_thirds, r"RESIZE_NEAREST_NEIGHBOR at node 2 .*to whole multiples, .*from \[16, 15\] to \[24, 15\]"),
        (corners, "RESIZE_NEAREST_NEIGHBOR at node 2 .*corners not aligned"),
        (
            large_stride,
            r"TRANSPOSE_CONV at node 1 .*its kernel must be at least as large as its stride, not \[2, 3\] and \[2, 4\]",
        ),
        (of_three, r"DEPTH_TO_SPACE at node 3 .*its channels must be a multiple of 3\^2, not 8"),
    ],
)
def test_what_tflite_has_beyond_is_refused(change, fault, rng, tmp_path):
    file = upsampled(rng)
    change(file)
    with pytest.raises(DeeplockError, match=fault):
        read_network(file.write(tmp_path / "net.tflite"))


def onnx_picture(rng, mode: str = "CRD", **attributes) -> Float:
    """A kernel for each way to say what is cut off, scales as well as sizes."""
    net = Float(rng, 4, 5, 6)

    def turned(x: str, channels: int, out: int, kernel: tuple[int, int], **options) -> str:
        weight = net.random(channels, out, *kernel, scale=(channels * np.prod(kernel) / 4) ** -0.5)
        return net.node("ConvTranspose", x, weight, net.random(out, scale=0.3), **options)

    x = net.node("Relu", turned("x", 4, 6, (3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]))
    x = turned(x, 6, 8, (3, 2), strides=[1, 2], **(attributes or {"pads": [1, 0, 1, 0]}))
    scales = net.constant(np.array([1, 1, 1, 2], np.float32))
    x = net.node(
        "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    x = net.node("DepthToSpace", net.conv(x, 8, 12, (1, 1)), blocksize=2, mode=mode)
    net.conv(x, 3, 4, (1, 1))
    return net


def onnx_line(rng) -> Float:
    net = Float(rng, 4, 7, batch=1)
    weight = net.random(4, 6, 4, scale=0.4)
    x = net.node("Relu", net.node("ConvTranspose", "x", weight, strides=[2], pads=[1, 1]))
    x = net.node("Resize", x, "", "", net.constant(np.array([1, 6, 42])), mode="nearest")
    net.conv(x, 6, 3, (3,))
    return net


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (onnx_picture, ["transposed", "transposed", "upsample", "conv", "depth_to_space", "conv"]),
        (
            lambda rng: onnx_picture(rng, "DCR", auto_pad="SAME_UPPER"),
            ["transposed"] * 2 + ["upsample", "conv", "depth_to_space", "conv"],
        ),
        (
            lambda rng: onnx_picture(rng, output_shape=[11, 24]),
            ["transposed"] * 2 + ["upsample", "conv", "depth_to_space", "conv"],
        ),
        (onnx_line, ["transposed", "upsample", "conv"]),
    ],
)
def test_onnx(build, expected, rng, tmp_path):
    network, found = read_int8(quantised(build(rng), tmp_path / "net.onnx"))
    read = [kind for kind in kinds(network) if kind != "average_pool"]  # one requantises, where the file does so twice
    assert read == expected and set(found.layer_lsb.values()) <= {0, 1}
    same_in_reference(network, rng)


@pytest.mark.parametrize("build", [onnx_picture, onnx_line])
def test_onnx_in_float(build, rng, tmp_path):
    net = build(rng)
    images = torch.from_numpy(rng.normal(0, 1, (64, *net.shape)).astype(np.float32))
    network, found = quantise(read_module(net.write(tmp_path / "net.onnx"), images), images, "net")
    assert {"transposed", "upsample"} <= set(kinds(network)) and set(found.layer_lsb.values()) <= {0, 1}


@pytest.mark.parametrize(
    ("kind", "attributes", "fault"),
    [
        ("ConvTranspose", {"strides": [2, 2], "dilations": [2, 2]}, "group and dilations must be 1, not 1 and .2, 2."),
        ("ConvTranspose", {"strides": [4, 4]}, "its kernel must be at least as large as its stride"),
        ("Resize", {"mode": "linear"}, "must be nearest, asymmetric with floor .*, not linear"),
        (
            "Resize",
            {"mode": "nearest", "coordinate_transformation_mode": "align_corners"},
            "not nearest, align_corners",
        ),
    ],
)
def test_what_onnx_has_beyond_is_refused(kind, attributes, fault, rng, tmp_path):
    net = Float(rng, 4, 5, 6)
    x = net.conv("x", 4, 4)
    scales = "", net.constant(np.array([1, 1, 2, 2], np.float32))
    net.node(kind, x, *(scales if kind == "Resize" else (net.random(4, 4, 3, 3, scale=0.3),)), **attributes)
    with pytest.raises(DeeplockError, match=f"unsupported operator {kind} at node .*{fault}"):
        read_int8(quantised(net, tmp_path / "net.onnx"))
