"""MLPerf Tiny's int8 files and what LiteRT makes of them. They are in the folder that DEEPLOCK_DATA names, in `mlperf-tiny`."""

import os
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from deeplock.pymodel.frontends.engine import against_engine, random_ifmaps
from deeplock.pymodel.frontends.tflite.engine import engine
from deeplock.pymodel.frontends.tflite.network import read_network
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.zoo import datasets
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps

NAMES = {"ic": "ic-resnet8", "ad": "ad-autoencoder", "kws": "kws-dscnn", "vww": "vww-mobilenet"}
BARS = {"conv": 0.0005, "depthwise": 0.0005, "add": 0.002, "average_pool": 0.1}
"""Share of bytes that may differ, by kind of layer; of average pools, ties."""


def file_of(name: str) -> Path:
    path = Path(os.environ.get("DEEPLOCK_DATA", ""), "mlperf-tiny", f"{NAMES[name]}-int8.tflite")
    if not path.is_file():
        pytest.skip(f"no {path.name}: DEEPLOCK_DATA names no folder with mlperf-tiny/")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_layers_differ_from_litert_at_roundings_only(name):
    path = file_of(name)
    read = read_network(path)
    found = against_engine(read, *engine(path, read))
    for layer in read.network.layers:
        assert found.layer_lsb[layer.name] <= 1
        dense = layer.kind == "conv" and read.network.input_shape[:2] == (1, 1)  # few bytes, and few distinct sums
        assert found.layer_share[layer.name] <= (0.001 if dense else BARS[layer.kind]), layer.name


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_computes_the_same(name):
    network = read_network(file_of(name)).network
    ifmaps = random_ifmaps(network.input_shape, 2, seed=1)
    expected = golden.run(network, ifmaps)
    assert all(np.array_equal(expected[name], found) for name, found in reference.run(network, ifmaps).items())


def litert_outputs(path: Path, ifmaps: np.ndarray) -> np.ndarray:
    """int8 [n, outputs] of the file as it is."""
    runner = litert.Interpreter(str(path))
    runner.allocate_tensors()
    (given,), (result,) = runner.get_input_details(), runner.get_output_details()
    found = []
    for ifmap in ifmaps:
        runner.set_tensor(given["index"], ifmap.reshape(given["shape"]))
        runner.invoke()
        found.append(runner.get_tensor(result["index"])[0])
    return np.array(found)


def compare_on_cifar(count: int) -> None:
    """Accuracy within 0.3 points of LiteRT's, and the same class on 98 % of the pictures."""
    path = file_of("ic")
    data = datasets.load("cifar10", os.environ["DEEPLOCK_DATA"])
    ifmaps = (data.test_images[:count].astype(int) - 128).astype(np.int8)
    found, expected = golden_ofmaps(read_network(path).network, ifmaps), litert_outputs(path, ifmaps)
    labels = data.test_labels[:count]
    print(f"golden {accuracy(found, labels):.4f}, LiteRT {accuracy(expected, labels):.4f}")
    assert abs(accuracy(found, labels) - accuracy(expected, labels)) <= 0.003
    same = (found.reshape(count, -1).argmax(1) == expected.argmax(1)).mean()
    print(f"the same largest class {same:.4f}")
    assert same >= 0.98


def test_the_image_classifier_is_as_good_on_some_pictures():
    compare_on_cifar(1000)


@pytest.mark.slow
def test_the_image_classifier_is_as_good_on_all_pictures():
    compare_on_cifar(10_000)


def outputs_of_both(name: str, count: int = 200) -> tuple[Network, np.ndarray, np.ndarray, np.ndarray]:
    """The network, synthetic ifmaps, the golden model's outputs and LiteRT's, both int8 [n, outputs]."""
    path = file_of(name)
    network = read_network(path).network
    ifmaps = random_ifmaps(network.input_shape, count, seed=2)
    return network, ifmaps, golden_ofmaps(network, ifmaps).reshape(count, -1), litert_outputs(path, ifmaps)


@pytest.mark.parametrize("name", ["kws", "vww"])
def test_the_largest_output_is_litert_s_on_synthetic_inputs(name):
    _, _, found, expected = outputs_of_both(name)
    same = (found.argmax(1) == expected.argmax(1)).mean()
    print(f"the same largest output {same:.4f}")
    assert same >= 0.99


def test_the_autoencoder_finds_the_anomalies_that_litert_finds():
    """An input is one if the mean square of what the output misses is above a threshold, here the median."""
    network, ifmaps, found, expected = outputs_of_both("ad")
    given = network.input.dequantise(ifmaps.reshape(len(ifmaps), -1))
    errors = [((network.output.dequantise(outputs) - given) ** 2).mean(1) for outputs in (found, expected)]
    same = np.equal(*(error > np.median(errors[1]) for error in errors)).mean()
    most = np.abs(found.astype(int) - expected).max()
    print(f"the same decision {same:.4f}, bytes by at most {most}, {(found != expected).mean():.4%} of them")
    assert same >= 0.99 and most <= 2
