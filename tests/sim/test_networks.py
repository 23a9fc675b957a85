"""Networks of the field, from PyTorch to the RTL: every byte is the golden model's, and the largest class mostly PyTorch's."""

from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deeplock.bench.rtl import config_for
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.compiler.smallest import needed_options
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from deeplock.sim.run import simulate
from tests.pymodel.compiler.test_bands import SMALL as BANKS_OF_256_BYTES
from tests.pymodel.compiler.test_bands import same
from tests.pymodel.frontends.networks import Block, Net, SqueezeExcite, inputs_of, trained_norms
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import File
from tests.random_networks import network_of
from tests.sim import tiny

SMALL = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=64, activation_words=2048)


class TemporalBlock(nn.Module):
    """Of a temporal convolutional network (arXiv 1803.01271): causal convolutions, their ends cut off, and a sum."""

    def __init__(self, channels: int, out: int, dilation: int) -> None:
        super().__init__()
        self.cut = 2 * dilation
        self.conv1 = nn.Conv1d(channels, out, 3, padding=self.cut, dilation=dilation)
        self.conv2 = nn.Conv1d(out, out, 3, padding=self.cut, dilation=dilation)
        self.shortcut = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.conv1(x)[:, :, : -self.cut])
        y = F.relu(self.conv2(y)[:, :, : -self.cut])
        return F.relu(y + self.shortcut(x))


def tcn() -> nn.Module:
    """6 sensors, 64 samples, 4 blocks whose kernels reach ever further back."""
    blocks = [TemporalBlock(6 if dilation == 1 else 16, 16, dilation) for dilation in (1, 2, 4, 8)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 5))


class DenseLayer(nn.Module):
    """As of DenseNet (arXiv 1608.06993): batch norm and ReLU first, new channels beside the old ones."""

    def __init__(self, channels: int, grows: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, grows, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


def densenet() -> nn.Module:
    """16x16 pictures; two blocks of three layers, a pooling between, and a ResNeXt's convolution of groups behind."""
    blocks = [[DenseLayer(channels, 6) for channels in range(first, first + 18, 6)] for first in (12, 16)]
    return nn.Sequential(
        *(nn.Conv2d(3, 12, 3, padding=1, bias=False), *blocks[0], nn.BatchNorm2d(30), nn.ReLU()),
        *(nn.Conv2d(30, 16, 1, bias=False), nn.AvgPool2d(2), *blocks[1], nn.BatchNorm2d(34), nn.ReLU()),
        *(nn.Conv2d(34, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=4), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )


def resnet18() -> nn.Module:
    """At CIFAR size, with a quarter of the channels."""
    parts, channels = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for out, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
        parts += [Block(channels, out, stride), Block(out, out, 1)]
        channels = out
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def double(channels: int, out: int) -> nn.Module:
    """Two convolutions, as between the poolings of a U-Net."""
    first, second = (nn.Conv2d(each, out, 3, padding=1, bias=False) for each in (channels, out))
    return nn.Sequential(first, nn.BatchNorm2d(out), nn.ReLU(), second, nn.BatchNorm2d(out), nn.ReLU())


class UNet(nn.Module):
    """A segmenter (arXiv 1505.04597): down by poolings, up by `up`, beside what came before the pooling at each size.

    widths  channels at each size
    """

    def __init__(self, up, widths: tuple[int, ...], classes: int = 4) -> None:
        super().__init__()
        sizes = list(pairwise(widths))
        self.down = nn.ModuleList(double(channels, out) for channels, out in ((3, widths[0]), *sizes))
        self.up = nn.ModuleList(up(below, here) for here, below in reversed(sizes))
        self.beside = nn.ModuleList(double(2 * here, here) for here, _ in reversed(sizes))
        self.last = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for level, part in enumerate(self.down):
            x = part(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for up, beside, skip in zip(self.up, self.beside, kept[-2::-1], strict=True):
            x = beside(torch.cat([skip, up(x)], 1))
        return self.last(x)


def unet(widths: tuple[int, ...] = (8, 16, 32)) -> nn.Module:
    """At CIFAR size, with transposed convolutions."""
    return UNet(lambda below, here: nn.ConvTranspose2d(below, here, 2, 2), widths)


def unet_nearest(widths: tuple[int, ...] = (8, 16, 32)) -> nn.Module:
    """At CIFAR size, with nearest upsampling and a convolution behind it."""
    return UNet(
        lambda below, here: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(below, here, 3, padding=1)), widths
    )


class InvertedResidual(nn.Module):
    """Of MobileNetV3 (arXiv 1905.02244): wider, depthwise, squeeze-and-excitation, narrower; a sum if the shape stays."""

    def __init__(
        self, channels: int, kernel: int, wide: int, out: int, gated: bool, act: nn.Module, stride: int
    ) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=1e-3)
        parts = [nn.Conv2d(channels, wide, 1, bias=False), norm(wide), act] if wide != channels else []
        depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        parts += [depthwise, norm(wide), act]
        parts += [SqueezeExcite(wide, max(8, wide // 4 // 8 * 8), nn.Hardsigmoid())] if gated else []
        self.parts = nn.Sequential(*parts, nn.Conv2d(wide, out, 1, bias=False), norm(out))
        self.sums = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x) + x if self.sums else self.parts(x)


def mobilenet_v3_small() -> nn.Module:
    """At CIFAR size: the first convolution has stride 1. Nine of its eleven blocks have squeeze-and-excitation."""
    re, hs = nn.ReLU(), nn.Hardswish()
    blocks = [
        *((16, 3, 16, 16, True, re, 2), (16, 3, 72, 24, False, re, 2), (24, 3, 88, 24, False, re, 1)),
        *((24, 5, 96, 40, True, hs, 2), (40, 5, 240, 40, True, hs, 1), (40, 5, 240, 40, True, hs, 1)),
        *((40, 5, 120, 48, True, hs, 1), (48, 5, 144, 48, True, hs, 1), (48, 5, 288, 96, True, hs, 2)),
        *((96, 5, 576, 96, True, hs, 1), (96, 5, 576, 96, True, hs, 1)),
    ]
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), hs),
        *(InvertedResidual(*block) for block in blocks),
        *(nn.Conv2d(96, 576, 1, bias=False), nn.BatchNorm2d(576), hs, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(576, 1024), hs, nn.Dropout(0.2), nn.Linear(1024, 10)),
    )


def mobilenet_v2() -> nn.Module:
    """At CIFAR size (arXiv 1801.04381): strides of 1 in the first convolution and the second group of blocks."""
    parts, channels = [nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    table = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for wider, out, times, stride in table:
        for number in range(times):
            step = stride if number == 0 else 1
            parts.append(InvertedResidual(channels, 3, wider * channels, out, False, nn.ReLU6(), step))
            channels = out
    parts += [nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 10))


def vgg16() -> nn.Module:
    """At CIFAR size (arXiv 1409.1556), with its dense layers of 4,096 outputs."""
    parts: list[nn.Module] = []
    channels = 3
    for out, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(times):
            parts += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        parts.append(nn.MaxPool2d(2))
    dense = nn.Flatten(), nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()
    return nn.Sequential(*parts, *dense, nn.Linear(4096, 10))


class Bottleneck(nn.Module):
    """As torchvision's of ResNet-50 and larger ones."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.parts = nn.Sequential(
            *(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)),
        )
        self.shortcut = None
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.parts(x) + (x if self.shortcut is None else self.shortcut(x)))


def resnet101() -> nn.Module:
    """At CIFAR size: 3 x 3 first, no pooling behind it; 2,048 channels at the end."""
    parts, channels = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width, times, stride in ((64, 3, 1), (128, 4, 2), (256, 23, 2), (512, 3, 2)):
        for number in range(times):
            parts.append(Bottleneck(channels, width, stride if number == 0 else 1))
            channels = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 10))


def gated() -> nn.Module:
    """A convolution with squeeze-and-excitation, of channels that do not fill words, and a product of two tensors."""
    return Net(
        lambda m, x: m.end(m.gates(m.conv(x)) * m.other(x)),
        conv=nn.Conv2d(2, 6, 3), gates=SqueezeExcite(6, 3, nn.Sigmoid()), other=nn.Conv2d(2, 6, 3), end=nn.Conv2d(6, 5, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    "lanes",
    [pytest.param({}, marks=pytest.mark.slow), {"lanes": 1, "multiplier_cycles": 4, "sum_bits": 24}],
    ids=["as many lanes as rows", "a small lane"],
)
def test_squeeze_and_excitation_on_a_small_array(lanes):
    torch.manual_seed(0)
    inputs = inputs_of((2, 8, 7))
    network, _ = quantise(gated(), inputs, "gated")
    options = needed_options([network]) | lanes
    config = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=1024, accumulators=64, suite="plain", **options)
    ifmaps = network.input.quantise(inputs[:2].permute(0, 2, 3, 1).numpy())
    loadable = compile_network(network, config, np.random.default_rng(0))
    assert loadable.features[-2:] == ("tables", "products")
    run = simulate(loadable, config, b"", list(ifmaps), "icarus", pauses=0.2, seed=1)
    assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)[network.layers[-1].name])


def test_layers_in_bands_on_a_small_array():
    """Wide layers inside, a sum and a depthwise convolution among them; banks of 1 KiB hold few of their tensors."""
    torch.manual_seed(0)
    parts = (
        Block(3, 12, 1),
        nn.Conv2d(12, 24, 1),
        nn.ReLU6(),
        nn.Conv2d(24, 24, 3, 2, 1, groups=24),
        nn.Conv2d(24, 4, 1),
    )
    inputs = inputs_of((3, 12, 8))
    network, _ = quantise(trained_norms(nn.Sequential(*parts)), inputs, "wide")
    config = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=512, accumulators=64, program_words=1024)
    ifmaps = network.input.quantise(inputs[:3].permute(0, 2, 3, 1).numpy())
    loadable = compile_network(network, config, np.random.default_rng(0))
    assert {facts.kind for facts in loadable.interface.layers if facts.again} >= {"conv", "add"}
    run = simulate(loadable, config.with_suite("plain"), b"", list(ifmaps), "native", pauses=0.2, seed=1)
    assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)[network.layers[-1].name])


def test_the_next_ifmap_comes_while_bands_of_the_one_before_run():
    """The first layer has two bands, and the ifmap is released behind the second, before the last layers run."""
    layers = same("a", "input", 12, 2), same("b", "a", 2, 12), same("c", "b", 2, 2)
    network = network_of((8, 4, 2), *layers)
    config = BANKS_OF_256_BYTES.with_suite("plain")
    loadable = compile_network(network, config, np.random.default_rng(0))
    assert [layer.release_input for layer in loadable.program] == [0, 0, 1, 0, 0]
    ifmaps = np.random.default_rng(3).integers(-128, 128, (12, 8, 4, 2), np.int8)
    for pauses in (0.0, 0.3):
        run = simulate(loadable, config, b"", list(ifmaps), "native", pauses=pauses, seed=1)
        assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)["c"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "shape", "images", "size"),
    [
        (tcn, (6, 64), 8, 8),
        (densenet, (3, 16, 16), 4, 8),
        (resnet18, (3, 32, 32), 1, 8),
        (unet, (3, 32, 32), 1, 8),
        (unet_nearest, (3, 32, 32), 1, 8),
        (mobilenet_v3_small, (3, 32, 32), 1, 8),
        (mobilenet_v2, (3, 32, 32), 1, 8),
        (vgg16, (3, 32, 32), 1, 8),
        (resnet101, (3, 32, 32), 1, 16),  # 8x8 has no room for 256 channels of 32 x 32 pixels twice
    ],
)
def test_every_byte_is_golden_and_most_classes_are_pytorchs(build, shape, images, size, capsys):
    torch.manual_seed(0)
    inputs = inputs_of(shape)
    network, found = quantise(trained_norms(build()), inputs, build.__name__)
    real = inputs[:images].reshape(images, shape[0], *(1, *shape[1:])[-2:]).permute(0, 2, 3, 1).numpy()
    ifmaps, config = network.input.quantise(real), config_for(size, size, [network]).with_suite("plain")
    loadable = compile_network(network, config, np.random.default_rng(0))
    run = simulate(loadable, config, b"", list(ifmaps), "native")
    with capsys.disabled():
        cycles, bound = round(run.counters["CYCLES"] / images), loadable.interface.lower_bound
        expected, of_kind = sum(expected_cycles(loadable, config)), Counter[str]()
        for step in loadable.interface.layers:
            of_kind[step.kind] += step.array_bound
        array = of_kind.total()
        shares = ", ".join(f"{kind} {share / array:.1%}" for kind, share in of_kind.most_common())
        print(
            f"\n{build.__name__}: {len(loadable.program)} steps, {cycles} cycles, {cycles / bound:.2f} x the lower bound, "
            f"expected {expected}, {expected / array:.2f} x the array bound ({shares}); "
            f"{found.agreement:.1%} of classes as in float, outputs {found.output_lsb:.2f} LSB apart"
        )
    assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)[network.layers[-1].name])
    assert set(found.layer_lsb.values()) <= {0, 1} and found.agreement >= 0.8


def small_pytorch(path: Path, rng: np.random.Generator) -> Network:
    """Transposed convolutions and nearest upsampling, a size each."""
    parts = [nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 1)), nn.ConvTranspose2d(12, 8, 3, 2, 1, 1)]
    return quantise(trained_norms(UNet(lambda below, here: parts.pop(), (4, 8, 12))), inputs_of((3, 8, 8)), "net")[0]


def small_tflite(path: Path, rng: np.random.Generator) -> Network:
    file = File(rng)
    x = file.conv(file.activation(8, 8, 3), (8, 8, 3), out=4)
    y = file.conv(file.pool("MAX_POOL_2D", x, (8, 8, 4)), (4, 4, 4), out=8)
    y = file.concat(file.resize(file.pool("MAX_POOL_2D", y, (4, 4, 8)), (2, 2, 8), 4, 4), y, (4, 4, 16))
    y = file.transposed(file.conv(y, (4, 4, 16), out=6), (4, 4, 6), (3, 3), out=5)
    file.conv(file.concat(x, y, (8, 8, 9)), (8, 8, 9), (1, 1), out=3)
    return read_int8(file.write(path / "net.tflite"))[0]


def small_onnx(path: Path, rng: np.random.Generator) -> Network:
    net = Float(rng, 3, 8, 8)
    x = net.node("Relu", net.conv("x", 3, 4, pads=[1, 1, 1, 1]))
    y = net.node("Relu", net.conv(net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 4, 8, pads=[1, 1, 1, 1]))
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    y = net.node(
        "Resize", net.conv(net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 8, 6, (1, 1)), "", scales, **way
    )
    y = net.node("ConvTranspose", y, net.random(6, 5, 4, 4, scale=0.2), strides=[2, 2], pads=[1, 1, 1, 1])
    net.conv(net.node("Concat", x, y, axis=1), 9, 3, (1, 1))
    return read_int8(quantised(net, path / "net.onnx"))[0]


@pytest.mark.parametrize("read", [small_pytorch, small_tflite, small_onnx])
def test_small_segmenters_of_every_front_end_are_golden_on_the_rtl(read, tmp_path):
    """Locked, with pauses; a wrong key gives other bytes."""
    rng = np.random.default_rng(5)
    network = read(tmp_path, rng)
    assert {"transposed", "upsample", "concat", "max_pool"} <= {layer.kind for layer in network.layers}
    ifmaps, config = rng.integers(-128, 128, (2, *network.input_shape), np.int8), SMALL
    loadable = compile_network(network, config, rng).locked(config.suite, tiny.KEY)
    run = simulate(loadable, config, tiny.KEY, list(ifmaps), "native", pauses=0.2, seed=1)
    assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)[network.layers[-1].name])
    wrong = simulate(loadable, config, tiny.WRONG_KEY, list(ifmaps), "native")
    assert not np.array_equal(wrong.ofmaps, run.ofmaps)
