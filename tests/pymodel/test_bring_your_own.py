"""docs/bring-your-own-network.md, run as it is written: its networks through export, quantisation, compiler and RTL."""

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import main
from pymodel import golden, interpreter, preprocess, reference
from pymodel.compiler import compile_network
from pymodel.config import Config
from pymodel.image import load_image
from pymodel.image_folder import read_folder
from pymodel.network import Add, AveragePool, Conv, MaxPool, Network, Pixels
from pymodel.quantise import convert, quantise
from sim.run import simulate

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-own-network.md"
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
    """Where the page's Python was run: exported networks and images."""
    path, (code,) = tmp_path_factory.mktemp("own"), re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
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


def _network(folder: Path, name: str) -> tuple[Network, torch.export.ExportedProgram, torch.Tensor]:
    program = torch.export.load(folder / f"{name}.pt2")
    calibration = torch.from_numpy(_real(folder, name, "train")[0]).permute(0, 3, 1, 2).contiguous()
    return quantise(program, calibration, name), program, calibration


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("lenet5", [Conv, AveragePool, Conv, MaxPool, Conv, Conv]),
        ("resnet", [Conv, *[Conv, Conv, Add], *[Conv, Conv, Conv, Add] * 2, AveragePool, Conv]),
    ],
)
def test_every_model_computes_the_same(folder, name, kinds):
    network, program, calibration = _network(folder, name)
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
        inputs = torch.from_numpy(real).permute(0, 3, 1, 2).contiguous()
        in_float = program.module(check_guards=False)(inputs).argmax(1).numpy()
        in_pt2e = convert(program, calibration)(inputs).argmax(1).numpy()
    guesses = last.reshape(len(last), -1).argmax(1)
    assert (in_float == labels).mean() >= 0.95
    assert (guesses == in_float).mean() >= 0.98
    assert (guesses == in_pt2e).mean() >= 0.98


def test_the_pages_commands_work(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "deeplock"
        if arguments[0] != "simulate":
            assert main(arguments) == 0, capsys.readouterr().err
    for name, pixels in PIXELS.items():
        image = load_image(f"{name}.image")
        assert image.interface.pixels == pixels and image.interface.classes == tuple("0123456789")
        network, *_ = _network(folder, name)
        ifmaps = preprocess.quantise_input(network, _real(folder, name, "test")[0])
        expected = golden.run(network, ifmaps)[network.layers[-1].name]
        config = Config(rows=4, cols=4, bytes_per_beat=4)
        assert np.array_equal(interpreter.run(image, b"", ifmaps, config), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet"])
def test_the_rtl_computes_the_same(folder, name):
    network, *_ = _network(folder, name)
    ifmaps = preprocess.quantise_input(network, _real(folder, name, "test")[0][:3])
    key = bytes(range(16))
    image = compile_network(network, SMALL).locked(SMALL.suite, key)
    found = np.stack(simulate(image, SMALL, key, list(ifmaps)).ofmaps)
    assert np.array_equal(found, golden.run(network, ifmaps)[network.layers[-1].name])
