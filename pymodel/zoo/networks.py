"""The networks: PyTorch modules by name. Input: float [n, channels, height, width] from pymodel.zoo.preprocess.to_real."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from deeplock.pymodel.errors import DeeplockError

__all__ = ["NAMES", "build", "dataset_of", "input_shape_of"]


def _digits() -> nn.Module:
    """conv3x3 same 16, pool, conv3x3 valid 32, pool, dense 10: 160 + 4,640 + 330 = 5,130 parameters."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dense=nn.Linear(32, 10),
        )
    )


def _mnist(channels: int) -> nn.Module:
    """conv5x5 valid, pool, conv3x3 valid twice as wide, pool, dense 100, dense 10.

    channels  channels of the first convolution. 16, for MNIST: 416 + 4,640 + 80,100 + 1,010 = 86,166 parameters;
              32, for Fashion-MNIST: 832 + 18,496 + 160,100 + 1,010 = 180,438
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, channels, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(channels, 2 * channels, 3),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dropout1=nn.Dropout(0.25),
            dense1=nn.Linear(2 * channels * 5 * 5, 100),
            relu3=nn.ReLU(),
            dense2=nn.Linear(100, 10),
        )
    )


def _cifar10() -> nn.Module:
    """conv3x3 same 32, conv3x3 valid 32, pool, conv3x3 same 64, conv3x3 valid 64, pool, dense 512, dense 10.

    896 + 9,248 + 18,496 + 36,928 + 1,180,160 + 5,130 = 1,250,858 parameters.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 32, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(32, 32, 3),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 64, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(64, 64, 3),
            relu4=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dropout1=nn.Dropout(0.2),
            dense1=nn.Linear(64 * 6 * 6, 512),
            relu5=nn.ReLU(),
            dropout2=nn.Dropout(0.3),
            dense2=nn.Linear(512, 10),
        )
    )


class _ResidualBlock(nn.Module):
    """conv3x3 with stride 2, then conv5x5 same, beside a conv1x1 with stride 2; each with batch norm. ReLU6.

    Halves height and width, rounded up.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.relu1 = nn.ReLU6()
        self.conv2 = nn.Conv2d(out, out, 5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.conv3 = nn.Conv2d(channels, out, 1, stride=2, bias=False)
        self.norm3 = nn.BatchNorm2d(out)
        self.relu2 = nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(inner)) + self.norm3(self.conv3(x)))


def _gtsrb() -> nn.Module:
    """conv5x5 same 20 with batch norm, overlapping pool, residual blocks 36 and 52, average pool, dense 43.

    1,540 + 39,816 + 86,632 + 8,987 = 136,975 parameters, batch norms included.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 20, 5, padding=2, bias=False),
            norm1=nn.BatchNorm2d(20),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, 2),
            block1=_ResidualBlock(20, 36),
            block2=_ResidualBlock(36, 52),
            pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            dense=nn.Linear(52 * 2 * 2, 43),
        )
    )


@dataclass(frozen=True)
class _Entry:
    build: Callable[[], nn.Module]
    dataset: str
    input_shape: tuple[int, int, int]


# mnist, fashion-mnist and cifar10 are those of Table 1 of Deep-Lock, arXiv 2008.05966
_NETWORKS = {
    "digits": _Entry(_digits, "digits", (8, 8, 1)),
    "mnist": _Entry(lambda: _mnist(16), "mnist", (28, 28, 1)),
    "fashion-mnist": _Entry(lambda: _mnist(32), "fashion-mnist", (28, 28, 1)),
    "cifar10": _Entry(_cifar10, "cifar10", (32, 32, 3)),
    "gtsrb": _Entry(_gtsrb, "gtsrb", (32, 32, 3)),
}

NAMES = tuple(_NETWORKS)


def _entry(name: str) -> _Entry:
    if name not in _NETWORKS:
        raise DeeplockError(f"unknown network {name!r}: must be one of {', '.join(NAMES)}")
    return _NETWORKS[name]


def build(name: str) -> nn.Module:
    """The network of that name, initialised from PyTorch's global random generator."""
    return _entry(name).build()


def dataset_of(name: str) -> str:
    """Name of the data set that the network of that name is trained on."""
    return _entry(name).dataset


def input_shape_of(name: str) -> tuple[int, int, int]:
    """(height, width, channels) of an image that the network of that name takes."""
    return _entry(name).input_shape
