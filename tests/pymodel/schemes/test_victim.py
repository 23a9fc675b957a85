"""The float victim is the trained int8 network: same answers, and layer by layer nearly the same numbers."""

import pytest
import torch

from deeplock.pymodel.attacks.target import measure
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.schemes.victim import HELD, dequantise, load_victim, parameter_layers
from deeplock.pymodel.zoo import trained
from deeplock.pymodel.zoo.preprocess import quantise_input


def test_it_answers_as_the_int8_network_does():
    victim, network = load_victim("digits", None, 360), trained.load("digits")
    outputs = victim.module(victim.test.inputs()).argmax(1)
    ofmaps = golden.run(network, quantise_input(network, victim.test.images.numpy()))[network.layers[-1].name]
    same = (torch.from_numpy(ofmaps.reshape(360, -1).argmax(1)) == outputs).float().mean()
    assert same >= 0.98  # int8 rounds
    assert measure(victim.module, victim.test) == pytest.approx(trained.record("digits")["accuracy"]["int8"], abs=0.01)


@pytest.mark.parametrize("name", [name for name in trained.NAMES if name != "gtsrb"])
def test_weights_are_the_int8_ones_times_a_factor_a_channel(name):
    module, network = dequantise(trained.load(name)), trained.load(name)
    layers = dict(parameter_layers(module))
    for conv in network.layers:
        if conv.name in layers:
            real = layers[conv.name].weight.detach().reshape(len(conv.weight), -1).double()
            int8 = torch.from_numpy(conv.weight).permute(0, 3, 1, 2).reshape(len(conv.weight), -1).double()
            factor = (real * int8).sum(1) / (int8 * int8).sum(1)
            assert (factor > 0).all()
            assert torch.allclose(real, factor[:, None] * int8, rtol=1e-5, atol=1e-7)


def test_a_network_that_is_no_chain_of_layers_is_refused():
    with pytest.raises(DeeplockError, match="gtsrb: attacks take only chains .*, not layer block1.add"):
        dequantise(trained.load("gtsrb"))


def test_nobody_trains_on_held_out_or_test_images():
    victim = load_victim("digits", None, 360)
    assert len(victim.held) == min(HELD, 1_437 // 5)
    assert len(victim.train) + len(victim.held) == 1_437
    assert len(victim.test) == 360
