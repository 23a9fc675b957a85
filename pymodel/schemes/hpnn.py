"""HPNN (Chakraborty, Mondal and Srivastava, DAC 2020): a key bit a neuron flips the sign of its pre-activation.

    y = f((-1)^k (w . x + b)), and the network is trained with the key in place

What the paper leaves open, and what is done here:

- Neurons with a key bit: all that a ReLU follows, so not the last layer's. A convolution's neurons are its output channels,
  because in the paper's accelerator the bit sits at an accumulator, which computes one channel at every pixel.
- The key has 256 bits, one for each accumulator of the paper's accelerator. Neuron i, counted through all layers, has bit
  i modulo 256.
- Key-dependent back-propagation: with v = (-1)^k w the keyed network is the plain one, and the gradient of w is (-1)^k times
  that of v. So SGD and Adam, whose steps are odd in the gradient, take w from (-1)^k v0 exactly to (-1)^k v, where v is what
  plain training makes of v0; and (-1)^k v0 is as likely an initialisation as v0. A plainly trained network with its neurons'
  signs flipped *is* therefore a network that was trained with the key, and costs no training
  (tests/pymodel/schemes/test_hpnn.py checks this).
"""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.schemes.scheme import Protected, Scheme
from deeplock.pymodel.schemes.victim import Victim, parameter_layers

__all__ = ["KEY_BITS", "Hpnn", "signs_of"]

KEY_BITS = 256


def signs_of(module: nn.Module, key: bytes) -> dict[str, torch.Tensor]:
    """(-1)^k of each protected layer's neurons, float32 [channels], by layer name."""
    bits = np.unpackbits(np.frombuffer(key, np.uint8))
    signs, first = {}, 0
    for name, layer in parameter_layers(module)[:-1]:
        neurons = np.arange(first, first + len(layer.weight)) % KEY_BITS
        signs[name] = torch.from_numpy(1 - 2 * bits[neurons].astype(np.float32))
        first += len(layer.weight)
    return signs


@torch.no_grad()
def _flipped(module: nn.Module, key: bytes) -> nn.Module:
    module = deepcopy(module)
    layers, signs = dict(parameter_layers(module)), signs_of(module, key)
    for name, sign in signs.items():
        layers[name].weight.mul_(sign.reshape(-1, *[1] * (layers[name].weight.dim() - 1)))
        layers[name].bias.mul_(sign)  # pyright: ignore
    return module.eval()


@dataclass(frozen=True)
class Hpnn(Scheme):
    """`Protected.content` is the module that runs right only with the key; no key is a key of zeros."""

    name: str = "hpnn"

    def protect(self, victim: Victim, seed: int) -> tuple[Protected, bytes]:
        key = np.random.default_rng(seed).bytes(KEY_BITS // 8)
        return Protected(victim.name, _flipped(victim.module, key)), key

    def authorise(self, protected: Protected, key: bytes | None) -> nn.Module:
        return _flipped(protected.content, key or bytes(KEY_BITS // 8))

    def random_key(self, protected: Protected, rng: np.random.Generator) -> bytes:
        return rng.bytes(KEY_BITS // 8)
