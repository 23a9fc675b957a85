"""The networks: PyTorch modules by name. Input: float [n, channels, height, width] from pymodel.preprocess.to_real."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pymodel.errors import DeeplockError

__all__ = ["NAMES", "build", "dataset_of"]


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


@dataclass(frozen=True)
class _Entry:
    build: Callable[[], nn.Module]
    dataset: str


_NETWORKS = {"digits": _Entry(_digits, dataset="digits")}

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
