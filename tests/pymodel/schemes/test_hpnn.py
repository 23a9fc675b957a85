"""HPNN by sign flips is HPNN by definition: y = f((-1)^k (w . x + b)), trained with the key in place."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from deeplock.pymodel.schemes.fit import seeded
from deeplock.pymodel.schemes.hpnn import KEY_BITS, Hpnn, signs_of
from deeplock.pymodel.schemes.victim import load_victim, parameter_layers
from deeplock.pymodel.zoo import networks

KEY = np.random.default_rng(21).bytes(KEY_BITS // 8)


class KeyedNeurons(nn.Module):
    """(-1)^k times the pre-activation, by channel."""

    def __init__(self, sign: torch.Tensor) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.sign.reshape(1, -1, *[1] * (values.dim() - 2))


def with_key(module: nn.Sequential, key: bytes) -> nn.Sequential:
    """The network with the paper's multiplication behind every hidden layer."""
    signs, parts = signs_of(module, key), OrderedDict()
    for name, part in module.named_children():
        parts[name] = part
        if name in signs:
            parts[f"{name}_key"] = KeyedNeurons(signs[name])
    return nn.Sequential(parts)


def test_the_key_flips_pre_activations():
    scheme, victim = Hpnn(), load_victim("digits", None, 360)
    protected, key = scheme.protect(victim, 0)
    inputs = victim.test.inputs()
    for guess in (key, KEY):
        expected = with_key(protected.content, guess)(inputs)
        assert torch.allclose(scheme.run(protected, guess, inputs), expected, atol=1e-4)


def test_neurons_have_the_keys_bits_in_order():
    """digits: 16 + 32 hidden neurons, the first 48 bits."""
    bits = np.unpackbits(np.frombuffer(KEY, np.uint8))[:48]
    signs = torch.cat(list(signs_of(networks.build("digits"), KEY).values()))
    assert (signs.numpy() == np.where(bits, -1, 1)).all()
    assert len(torch.cat(list(signs_of(networks.build("cifar10"), KEY).values()))) == 32 + 32 + 64 + 64 + 512


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_training_with_the_key_makes_the_mirrored_weights(optimiser):
    """From mirrored initial weights, keyed training comes to the mirror image of plain training, bit for bit."""
    victim = load_victim("digits", None, 360)
    with seeded(4):
        plain = networks.build("digits")
    mirrored = Hpnn().authorise(type(Hpnn().protect(victim, 0)[0])("digits", plain), KEY)
    keyed = with_key(mirrored, KEY)  # pyright: ignore
    for module in (plain, keyed):
        steps = optimiser(module.parameters(), 0.02)
        for start in range(0, 320, 64):
            chosen = slice(start, start + 64)
            steps.zero_grad()
            nn.functional.cross_entropy(module(victim.train.inputs(chosen)), victim.train.labels[chosen]).backward()
            steps.step()
    signs, trained = signs_of(plain, KEY), dict(parameter_layers(keyed))
    before = dict(parameter_layers(networks.build("digits")))
    for name, layer in parameter_layers(plain):
        sign = signs.get(name, torch.ones(len(layer.weight)))
        assert torch.equal(trained[name].weight, sign.reshape(-1, *[1] * (layer.weight.dim() - 1)) * layer.weight)
        assert torch.equal(trained[name].bias, sign * layer.bias)
        assert layer.weight.shape == before[name].weight.shape
