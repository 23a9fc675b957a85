"""The trained network that a scheme protects, in float32, and the images that its owner and a thief have."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.zoo import datasets, networks, trained
from deeplock.pymodel.zoo.train import to_input

__all__ = ["Labelled", "Victim", "dequantise", "load_victim", "parameter_layers"]

HELD = 1_000
"""Last training images, held out as the thief's validation images; at most a fifth of a small data set."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Raw images uint8 [n, height, width, channels] of a data set, and their labels int64 [n]."""

    dataset: str
    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: torch.Tensor | slice) -> "Labelled":
        """A selection of them."""
        return Labelled(self.dataset, self.images[chosen], self.labels[chosen])

    def inputs(self, chosen: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Network input float32 [n, channels, height, width], channels last in memory."""
        return to_input(self.dataset, self.images[chosen].numpy())


@dataclass(frozen=True, eq=False)
class Victim:
    """module  float32, in evaluation mode
    train     the owner's training images; a thief has a share of them
    held      the thief's validation images
    test      the images on which accuracies are measured
    """

    name: str
    module: nn.Module
    train: Labelled
    held: Labelled
    test: Labelled


def parameter_layers(module: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """Convolutions and dense layers in the order of their names in the module."""
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


@torch.no_grad()
def dequantise(network: Network) -> nn.Module:
    """The float32 module of one of our int8 networks, in evaluation mode: the same function except for rounding and clamping.

    The int8 network knows its activations' scales only at input and output. The scales in between are chosen so that a
    layer's weights have the root mean square sqrt(2 / inputs) of He's initialisation, which suits ReLU. This needs a chain
    of layers: `DeeplockError` for a network with additions or average pools.
    """
    for layer in network.layers:
        if not isinstance(layer, Conv | MaxPool):
            raise DeeplockError(
                f"network {network.name}: attacks take only chains of convolutions, dense layers and max pools, "
                f"not layer {layer.name}"
            )
    module = networks.build(network.name)
    layers = dict(parameter_layers(module))
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    if [conv.name for conv in convs] != list(layers):
        raise DeeplockError(f"network {network.name}: its layers are not those of our network of that name")
    scale = network.input.scale
    for conv in convs:
        weight = conv.weight.astype(np.float64)
        factor = np.ldexp(conv.multiplier.astype(np.float64), -conv.shift)
        bias = conv.bias + conv.input_zero_point * weight.sum(axis=(1, 2, 3))
        real = weight.transpose(0, 3, 1, 2) * factor[:, None, None, None] / scale  # makes activations / their new scale
        scale = np.sqrt(2 / real[0].size / (real**2).mean()) if conv is not convs[-1] else network.output.scale
        layer = layers[conv.name]
        layer.weight.copy_(torch.from_numpy((scale * real).reshape(tuple(layer.weight.shape))))
        assert layer.bias is not None
        layer.bias.copy_(torch.from_numpy(scale * factor * bias))
    return module.eval()


def _labelled(name: str, images: np.ndarray, labels: np.ndarray) -> Labelled:
    return Labelled(name, torch.from_numpy(images), torch.from_numpy(labels))


@cache
def load_victim(name: str, data_dir: str | None = None, test_images: int = 2_000) -> Victim:
    """The trained network of that name that comes with deeplock, with the first `test_images` test images."""
    network = trained.load(name)
    data = datasets.load(network.dataset, data_dir)
    held = min(HELD, len(data.train_labels) // 5)
    return Victim(
        name,
        dequantise(network),
        _labelled(data.name, data.train_images[:-held], data.train_labels[:-held]),
        _labelled(data.name, data.train_images[-held:], data.train_labels[-held:]),
        _labelled(data.name, data.test_images[:test_images], data.test_labels[:test_images]),
    )
