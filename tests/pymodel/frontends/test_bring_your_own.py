"""docs/bring-your-own-network.md, run as it is written: its networks through export, quantisation, compiler and RTL."""

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import fx

from deeplock.cli.main import main
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.frontends.pt2e import from_pt2e
from deeplock.pymodel.frontends.quantise import convert
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.tensor import Pixels
from deeplock.pymodel.zoo import preprocess
from deeplock.pymodel.zoo.image_folder import read_folder
from deeplock.sim.run import simulate
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import small_tflite

PAGE = Path(__file__).parents[3] / "docs" / "bring-your-own-network.md"
SMALL = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=64, activation_words=2048)
"""That of tests/sim/test_accelerator.py, whose build is kept."""
PIXELS = {"lenet5": Pixels(), "resnet": Pixels((0.3 * 255,), (0.35 * 255,))}
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the page's Python was run: exported networks and images. Beside them int8 files, which a user brings along."""
    path, (code,) = tmp_path_factory.mktemp("own"), re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    small_tflite(np.random.default_rng(1)).write(path / "mine.tflite")
    net = Float(np.random.default_rng(1), 3, 6, 6)
    net.conv("x", 3, 4)
    quantised(net, path / "mine.onnx")
    net = Float(np.random.default_rng(1), 1, 8, 8)
    net.dense(net.node("Flatten", net.node("Relu", net.conv("x", 1, 4))), 144, 10)
    net.write(path / "in-float.onnx")
    before = Path.cwd()
    os.chdir(path)
    try:
        exec(compile(code, str(PAGE), "exec"), {"__name__": "my_networks"})
    finally:
        os.chdir(before)
    return path


def _real(folder: Path, name: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    found = read_folder(folder / f"digits-{part}")
    assert found.labels is not None
    return preprocess.to_real(PIXELS[name], found.images), found.labels


def _tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def networks(folder) -> dict[str, tuple[Network, fx.GraphModule]]:
    """The networks in integers, and PyTorch's own quantised models."""
    found = {}
    for name in PIXELS:
        program = torch.export.load(folder / f"{name}.pt2")
        converted = convert(program, _tensor(_real(folder, name, "train")[0])).graph
        found[name] = from_pt2e(converted, name), converted
    return found


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("lenet5", [Conv, AveragePool, Conv, MaxPool, Conv, Conv]),
        ("resnet", [Conv, *[Conv, Conv, Add], *[Conv, Conv, Conv, Add] * 2, AveragePool, Conv]),
    ],
)
def test_every_model_computes_the_same(folder, networks, name, kinds):
    network, converted = networks[name]
    assert [type(layer) for layer in network.layers] == kinds
    real, labels = _real(folder, name, "test")
    ifmaps = preprocess.quantise_input(network, real)
    expected = golden.run(network, ifmaps)
    found = reference.run(network, ifmaps)
    assert all(np.array_equal(found[layer.name].numpy(), expected[layer.name]) for layer in network.layers)
    last = expected[network.layers[-1].name]
    for config in (SMALL, Config(), Config(rows=8, cols=16, bytes_per_beat=16)):
        assert np.array_equal(interpreter.run(compile_network(network, config), b"", ifmaps, config), last)
    with torch.no_grad():
        program = torch.export.load(folder / f"{name}.pt2").module(check_guards=False)
        in_float, in_pt2e = (model(_tensor(real)).argmax(1).numpy() for model in (program, converted))
    guesses = last.reshape(len(last), -1).argmax(1)
    assert (in_float == labels).mean() >= 0.9
    assert (guesses == in_float).mean() >= 0.98
    assert (guesses == in_pt2e).mean() >= 0.98


def _run(wanted) -> None:
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "deeplock"
        if wanted(arguments[0]):
            assert main(arguments) == 0, command


def test_the_pages_commands_work(folder, networks, monkeypatch):
    monkeypatch.chdir(folder)
    _run(lambda subcommand: subcommand != "simulate")
    for name, pixels in PIXELS.items():
        loadable = read_loadable(f"{name}.loadable")
        assert loadable.interface.pixels == pixels and loadable.interface.classes == tuple("0123456789")
        network, _ = networks[name]
        ifmaps = preprocess.quantise_input(network, _real(folder, name, "test")[0])
        expected = golden.run(network, ifmaps)[network.layers[-1].name]
        config = Config(rows=4, cols=4, bytes_per_beat=4)
        assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet"])
def test_the_rtl_computes_the_same(folder, networks, name):
    network, _ = networks[name]
    ifmaps = preprocess.quantise_input(network, _real(folder, name, "test")[0][:3])
    key = bytes(range(16))
    loadable = compile_network(network, SMALL).locked(SMALL.suite, key)
    found = np.stack(simulate(loadable, SMALL, key, list(ifmaps)).ofmaps)
    assert np.array_equal(found, golden.run(network, ifmaps)[network.layers[-1].name])


@pytest.mark.slow
def test_the_pages_simulations_find_no_mismatch(folder, monkeypatch):
    monkeypatch.chdir(folder)
    _run(lambda subcommand: subcommand in ("compile", "simulate"))
