"""ResNet-8 in the shape of MLPerf Tiny's image classification, with random weights: every byte, and cycles an image."""

import numpy as np
import pytest
import torch
from torch import nn

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network import golden
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo.preprocess import quantise_input
from deeplock.sim.run import simulate
from tests.pymodel.frontends.networks import Block, trained_norms

IMAGES = 20


def resnet8() -> nn.Module:
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    blocks = Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)
    return nn.Sequential(*stem, *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "most"), [(8, 215_000), (16, 55_000)])
def test_every_byte_is_golden_and_an_image_takes_few_cycles(size, most):
    torch.manual_seed(0)
    pictures = torch.randn(IMAGES, 3, 32, 32)
    network, _ = quantise(trained_norms(resnet8()), pictures, "resnet8")
    ifmaps = quantise_input(network, pictures.permute(0, 2, 3, 1).numpy())
    config = Config(rows=size, cols=size, bytes_per_beat=size, suite="plain")
    run = simulate(compile_network(network, config), config, b"", list(ifmaps), "native")
    assert np.array_equal(np.stack(run.ofmaps), golden.run(network, ifmaps)[network.layers[-1].name])
    assert run.counters["CYCLES"] / IMAGES <= most
