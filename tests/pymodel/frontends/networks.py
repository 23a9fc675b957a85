"""Networks as users write them, for the tests of the readers."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F


class LeNet(nn.Module):
    """ReLU after the pool, convolution without bias, size in numbers: as users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, bias=False)
        self.conv2 = nn.Conv2d(6, 16, (3, 4))
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(16 * 5 * 4, 40)
        self.fc2 = nn.Linear(40, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = x.view(-1, 16 * 5 * 4)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), training=self.training))


def strided() -> nn.Module:
    """Strides of 2, overlapping pools, batch norm with and without ReLU6, an output that is no vector."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 8, (2, 4), padding="same"),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 5, 1, padding="valid"),
        nn.Hardtanh(-0.5, 0.75),
    )


class Block(nn.Module):
    """As torchvision's BasicBlock: batch norms, an addition in place, its ReLU after it."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def residual() -> nn.Module:
    return nn.Sequential(
        Block(3, 8, 1), Block(8, 8, 1), Block(8, 12, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)
    )


def separable() -> nn.Module:
    """As MobileNet: depthwise convolutions with stride, unequal kernel and padding, each with a pointwise one behind it."""
    norm, relu = nn.BatchNorm2d, nn.ReLU6()
    return nn.Sequential(
        *(nn.Conv2d(3, 10, 3, 2, 1, bias=False), norm(10), relu),
        *(nn.Conv2d(10, 10, (3, 2), padding="same", groups=10, bias=False), norm(10), relu, nn.Conv2d(10, 21, 1), relu),
        *(nn.Conv2d(21, 21, 5, 3, 2, groups=21), nn.MaxPool2d(2), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(21, 5),
    )


def functions() -> nn.Module:
    """Functions of one number behind convolutions, batch norms, poolings, additions and each other, one of them in place."""
    conv, pool = partial(nn.Conv2d, 6, 6, 1), nn.MaxPool2d(2)
    return nn.Sequential(
        *(nn.SiLU(), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Hardswish(inplace=True), pool, conv(), pool, nn.GELU()),
        *(conv(), nn.Sigmoid(), nn.Tanh(), conv(), nn.LeakyReLU(0.2), nn.Hardtanh(-0.5, 0.5), conv(), nn.ELU(0.7)),
        *(conv(), nn.Hardsigmoid(), nn.AdaptiveAvgPool2d(1), nn.GELU("tanh"), nn.Flatten(), nn.Linear(6, 4), nn.Mish()),
    )


class SqueezeExcite(nn.Module):
    """As torchvision's: each channel times a gate made of the means of all channels."""

    def __init__(self, channels: int, squeezed: int, gate: nn.Module) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))
        return self.gate(self.fc2(scale)) * x


class Products(nn.Module):
    """Products of two activations: of one shape, by channel, of flat ones, of one and itself, in place, with a clamp behind;
    those that are functions of one number, and by constants."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3), nn.Conv2d(2, 6, 3)
        self.gates = SqueezeExcite(6, 3, nn.Hardsigmoid())
        self.fc = nn.Linear(6, 4)
        self.factors = nn.Parameter(torch.tensor([1.5, -0.7, 0.3, 0.0, 1.0, 2.0]).reshape(6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.first(x), self.second(x)
        y = F.relu(self.gates(a * b))
        y = y * torch.sigmoid(y) * self.factors
        y *= b
        y = 0.4 * (F.hardsigmoid(y) * y).mean((2, 3))
        return self.fc(y) * self.fc(y * y)


class Averages(nn.Module):
    """Average pools in every way in which torch.export writes them, ReLU6 after one, sums of a tensor and itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(F.avg_pool2d(x, (2, 1), stride=1))
        x = F.relu6(F.avg_pool2d(x, (1, 2), stride=2))
        x = x + x + F.adaptive_avg_pool2d(x, (x.shape[2], x.shape[3]))
        x = F.relu(F.max_pool2d(torch.add(x, x), 2, 1))
        x = F.avg_pool2d(x, (x.shape[2], 1)).mean((-1, -2))
        return self.fc(x) + self.fc(x)


class Windows(nn.Module):
    """Windows and strides that differ in height and width, padded poolings, and last windows that are not whole."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 7, (3, 5), stride=(1, 2), padding=(2, 1))
        self.second = nn.Conv2d(7, 9, 3, stride=(3, 1), padding=1)
        self.fc = nn.Linear(9, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.first(x), (3, 2), stride=(1, 2), padding=1)
        x = F.avg_pool2d(self.second(x), (3, 2), stride=(2, 1), padding=1)
        x = F.max_pool2d(x, 2, stride=2, ceil_mode=True)
        return self.fc(F.avg_pool2d(x, (x.shape[2], x.shape[3])).flatten(1))


def trained_norms(module: nn.Module) -> nn.Module:
    """Batch norms whose folding shows: statistics and factors far from the initial ones."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (norm.weight, norm.running_var, norm.bias, norm.running_mean):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.3, 1.7)
    return module.eval()


def inputs_of(shape: tuple[int, int, int], n: int = 64) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """Parts by name and what is made of them: a network in a line."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def shared() -> nn.Module:
    conv, norm = partial(nn.Conv2d, 2, 2, 3, padding=1), partial(nn.BatchNorm2d, 2)
    return Net(lambda m, x: m.b(m.conv(F.relu(m.a(m.conv(x))))), conv=conv(), a=norm(), b=norm())


def tied() -> nn.Module:
    conv, norm = partial(nn.Conv2d, 2, 2, 3, bias=False), partial(nn.BatchNorm2d, 2)
    net = Net(lambda m, x: m.a(m.c(x)) + m.b(m.d(x)) + m.d(x), c=conv(), d=conv(), a=norm(), b=norm())
    net.d.weight = net.c.weight  # pyright: ignore
    return net


def also_added() -> nn.Module:
    def forward(m, x):
        sums = m.conv(x)
        return m.norm(sums) + sums

    return Net(forward, conv=nn.Conv2d(2, 4, 3), norm=nn.BatchNorm2d(4))


def dense() -> nn.Module:
    def forward(m, x):
        sums = m.second(F.relu(m.a(m.first(x.flatten(1)))))
        return m.b(sums) + sums

    norm = partial(nn.BatchNorm1d, 16)
    return Net(forward, first=nn.Linear(128, 16), second=nn.Linear(16, 16), a=norm(), b=norm())


def relu_through_a_view() -> nn.Module:
    def forward(m, x):
        y = m.first(x)
        y.view(-1, 4 * 36).relu_()
        return m.second(y)

    return Net(forward, first=nn.Conv2d(2, 4, 3), second=nn.Conv2d(4, 4, 3))


def sum_through_a_view() -> nn.Module:
    def forward(m, x):
        y = m.first(x)
        flat = y.flatten(1)
        flat += m.other(x).flatten(1)
        return m.second(y)

    return Net(forward, first=nn.Conv2d(2, 4, 3), other=nn.Conv2d(2, 4, 3), second=nn.Conv2d(4, 4, 3))
