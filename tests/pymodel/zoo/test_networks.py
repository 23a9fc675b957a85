"""The networks are those of design.md, section 7: Table 1 of Deep-Lock gives the counts."""

import pytest
import torch
from torch.nn import functional

from deeplock.pymodel.zoo import datasets, networks
from deeplock.pymodel.zoo.recipes import recipe_for

COUNTS = {
    "mnist": [416, 4_640, 80_100, 1_010],
    "fashion-mnist": [832, 18_496, 160_100, 1_010],
    "cifar10": [896, 9_248, 18_496, 36_928, 1_180_160, 5_130],
}
GTSRB = [1_500, 40, 39_816, 86_632, 8_987]  # batch norms have a factor and a term for each channel
TOTALS = {"mnist": 86_166, "fashion-mnist": 180_438, "cifar10": 1_250_858}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_papers(name):
    layers = [layer for layer in networks.build(name) if list(layer.parameters())]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == COUNTS[name]
    assert sum(COUNTS[name]) == TOTALS[name]


def test_the_traffic_sign_network_has_two_residual_blocks():
    """Shapes and parameters as the widths 20, 36 and 52 and kernels 5x5, 3x3, 5x5 and 1x1 give them."""
    layers = [layer for layer in networks.build("gtsrb") if list(layer.parameters())]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == GTSRB
    values, shapes = torch.zeros(1, 3, 32, 32), []
    with torch.no_grad():
        for layer in networks.build("gtsrb").eval():
            values = layer(values)
            shapes.append(tuple(values.shape[1:]))
    expected = [(20, 32, 32), (20, 15, 15), (36, 8, 8), (52, 4, 4), (52, 2, 2), (208,), (43,)]
    assert list(dict.fromkeys(shapes)) == expected


def test_a_residual_block_is_the_sum_of_two_paths():
    """Against PyTorch's functions, batch norms in evaluation mode."""
    torch.manual_seed(0)
    block = networks.build("gtsrb").double().eval().get_submodule("block1")
    for name, value in block.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if "running_var" in name else value.uniform_(-1, 1)
    state, x = block.state_dict(), torch.rand(2, 20, 15, 15, dtype=torch.float64)

    def norm(values: torch.Tensor, number: int) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(values, *(state[f"norm{number}.{name}"] for name in names))

    with torch.no_grad():
        inner = norm(functional.conv2d(x, state["conv1.weight"], stride=2, padding=1), 1).clamp(0, 6)
        both = norm(functional.conv2d(inner, state["conv2.weight"], padding=2), 2)
        both += norm(functional.conv2d(x[:, :, ::2, ::2], state["conv3.weight"]), 3)
        assert torch.allclose(block(x), both.clamp(0, 6))
        assert (both > 6).any() and (both < 0).any()


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_takes_its_images_and_gives_a_number_for_every_class(name):
    height, width, channels = networks.input_shape_of(name)
    with torch.no_grad():
        outputs = networks.build(name).eval()(torch.zeros(2, channels, height, width))
    assert outputs.shape == (2, len(datasets.CLASSES[networks.dataset_of(name)]))


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_has_a_recipe(name):
    assert recipe_for(name).epochs >= 1
