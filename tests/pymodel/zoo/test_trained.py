"""The trained networks that come with deeplock. Accuracy needs the images: the folder that DEEPLOCK_DATA names."""

import os
import subprocess
import sys

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.zoo import datasets, networks, trained
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps
from deeplock.pymodel.zoo.preprocess import quantise_input

TARGETS = {"digits": 0.97, "mnist": 0.99, "fashion-mnist": 0.905, "cifar10": 0.78}
IMAGES = 500


def parameters(name: str) -> int:
    convs = [layer for layer in trained.load(name).layers if isinstance(layer, Conv)]
    return sum(conv.weight.size + conv.bias.size for conv in convs)


@pytest.mark.parametrize("name", trained.NAMES)
def test_every_network_of_ours_is_there_trained(name):
    network = trained.load(name)
    assert name in networks.NAMES
    assert (network.name, network.dataset) == (name, networks.dataset_of(name))
    assert network.input_shape == networks.input_shape_of(name)
    assert network.classes == datasets.CLASSES[network.dataset]
    assert parameters(name) == sum(p.numel() for p in networks.build(name).parameters())


@pytest.mark.parametrize("name", trained.NAMES)
def test_recorded_accuracies_reach_what_the_project_promises(name):
    record = trained.record(name)
    assert record["accuracy"]["float"] >= TARGETS[name]
    assert abs(record["accuracy"]["float"] - record["accuracy"]["int8"]) <= 0.005
    assert record["parameters"] == parameters(name)
    assert {"command", "seed", "versions", "machine", "images"} <= set(record)


@pytest.mark.parametrize("name", trained.NAMES)
def test_accuracy_on_the_first_test_images_is_near_the_recorded_one(name):
    folder = os.environ.get("DEEPLOCK_DATA")
    if name in datasets.DOWNLOADED and not (folder and os.path.isdir(folder)):
        pytest.skip(f"no images of {name}: DEEPLOCK_DATA names no folder (`deeplock data fetch {name} --data DIR`)")
    data = datasets.load(name, folder)
    network = trained.load(name)
    ofmaps = golden_ofmaps(network, quantise_input(network, data.test_images[:IMAGES]))
    assert accuracy(ofmaps, data.test_labels[:IMAGES]) == pytest.approx(
        trained.record(name)["accuracy"]["int8"], abs=0.02
    )


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
