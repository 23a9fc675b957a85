"""The networks are those of design.md, section 7: Table 1 of Deep-Lock gives the counts."""

import pytest
import torch

from deeplock.pymodel.zoo import datasets, networks
from deeplock.pymodel.zoo.recipes import recipe_for

COUNTS = {
    "mnist": [416, 4_640, 80_100, 1_010],
    "fashion-mnist": [832, 18_496, 160_100, 1_010],
    "cifar10": [896, 9_248, 18_496, 36_928, 1_180_160, 5_130],
}
TOTALS = {"mnist": 86_166, "fashion-mnist": 180_438, "cifar10": 1_250_858}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_papers(name):
    layers = [layer for layer in networks.build(name) if list(layer.parameters())]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == COUNTS[name]
    assert sum(COUNTS[name]) == TOTALS[name]


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_takes_its_images_and_gives_a_number_for_every_class(name):
    height, width, channels = networks.input_shape_of(name)
    with torch.no_grad():
        outputs = networks.build(name).eval()(torch.zeros(2, channels, height, width))
    assert outputs.shape == (2, len(datasets.CLASSES[networks.dataset_of(name)]))


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_has_a_recipe(name):
    assert recipe_for(name).epochs >= 1
