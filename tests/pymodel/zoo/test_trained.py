"""The trained networks that come with deeplock. Accuracy needs the images: the folder that DEEPLOCK_DATA names."""

import os
import subprocess
import sys

import numpy as np
import pytest
from torch import nn

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import datasets, networks, trained
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps
from deeplock.pymodel.zoo.preprocess import quantise_input

TARGETS = {"digits": 0.97, "mnist": 0.99, "fashion-mnist": 0.905, "cifar10": 0.78, "gtsrb": 0.9}
IMAGES = 500


def parameters(name: str) -> int:
    """Of the int8 network, into whose weights and biases batch norms are folded."""
    convs = [layer for layer in trained.load(name).layers if isinstance(layer, Conv)]
    return sum(conv.weight.size + conv.bias.size for conv in convs)


@pytest.mark.parametrize("name", trained.NAMES)
def test_every_network_of_ours_is_there_trained(name):
    network = trained.load(name)
    assert name in networks.NAMES
    assert (network.name, network.dataset) == (name, networks.dataset_of(name))
    assert network.input_shape == networks.input_shape_of(name)
    assert network.classes == datasets.CLASSES[network.dataset]
    layers = [layer for layer in networks.build(name).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert parameters(name) == sum(layer.weight.numel() + len(layer.weight) for layer in layers)


@pytest.mark.parametrize("name", trained.NAMES)
def test_recorded_accuracies_reach_what_the_project_promises(name):
    record = trained.record(name)
    assert record["accuracy"]["float"] >= TARGETS[name]
    assert abs(record["accuracy"]["float"] - record["accuracy"]["int8"]) <= 0.005
    assert record["parameters"] == sum(p.numel() for p in networks.build(name).parameters())
    assert {"command", "seed", "versions", "machine", "images"} <= set(record)


def images_of(name: str) -> datasets.Dataset:
    folder = os.environ.get("DEEPLOCK_DATA")
    if name in datasets.IN_FOLDERS and not (folder and os.path.isdir(folder)):
        pytest.skip(f"no images of {name}: DEEPLOCK_DATA names no folder")
    return datasets.load(name, folder)


@pytest.mark.parametrize("name", trained.NAMES)
def test_accuracy_on_the_first_test_images_is_near_the_recorded_one(name):
    data, network = images_of(name), trained.load(name)
    ofmaps = golden_ofmaps(network, quantise_input(network, data.test_images[:IMAGES]))
    assert accuracy(ofmaps, data.test_labels[:IMAGES]) == pytest.approx(
        trained.record(name)["accuracy"]["int8"], abs=0.02
    )


@pytest.mark.parametrize("size", [8, 16])
def test_traffic_signs_compile_and_compute_what_the_network_computes(size):
    """Compiled and locked, against the golden model, and every layer of that against PyTorch."""
    network, key = trained.load("gtsrb"), bytes(range(16))
    ifmaps = quantise_input(network, images_of("gtsrb").test_images[:20])
    expected, integers = golden.run(network, ifmaps), reference.run(network, ifmaps)
    assert all(np.array_equal(expected[name], values.numpy()) for name, values in integers.items())
    config = Config(rows=size, cols=size, bytes_per_beat=size)
    loadable = compile_network(network, config, np.random.default_rng(size)).locked("deep-lock", key)
    assert np.array_equal(interpreter.run(loadable, key, ifmaps, config), expected["dense"])


def test_together_they_stay_below_2_mb():
    assert sum(trained.path_of(name).stat().st_size for name in trained.NAMES) < 2_000_000


def test_loading_needs_no_torch():
    program = (
        "import sys; from deeplock.pymodel.zoo import trained; trained.load('mnist'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_told():
    with pytest.raises(DeeplockError, match="no trained network 'nothing': must be one of digits, mnist"):
        trained.load("nothing")
