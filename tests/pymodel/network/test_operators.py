"""Operators from outside the tree, as a user would add them: nothing of the project names them."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden, operators, reference
from deeplock.pymodel.network.layer import INT8, Layer
from deeplock.pymodel.network.lowering import Diagonal, Lowered
from deeplock.pymodel.network.network import Network, lower_bound, output_shapes
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.tensor import Shape
from tests.random_networks import network_of


@dataclass(frozen=True, eq=False)
class Shuffle(Layer):
    """Channel `order[i]` of the source becomes channel i. The hardware has nothing like it."""

    kind = "shuffle"
    order: np.ndarray = field(metadata=INT8)

    def rules(self):
        yield "order", sorted(self.order.tolist()) == list(range(len(self.order)))

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return ifmaps[..., self.order]


@dataclass(frozen=True)
class Halve(Layer):
    """q / 2, halves up: a diagonal layer."""

    kind = "halve"

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return (ifmaps.astype(int) + 1 >> 1).astype(np.int8)

    def lower(self) -> Lowered:
        return Lowered(Diagonal(1, 1, bias=0, multiplier=1 << 15, shift=16))


@reference.ofmaps.register
def _shuffle(layer: Shuffle, ifmaps: torch.Tensor) -> torch.Tensor:
    return torch.index_select(ifmaps, 1, torch.from_numpy(layer.order).int())


@reference.ofmaps.register
def _halve(layer: Halve, ifmaps: torch.Tensor) -> torch.Tensor:
    return torch.floor(ifmaps / 2 + 0.5)


@pytest.fixture
def registered(monkeypatch):
    """The operators are known for the time of a test."""
    monkeypatch.setattr(operators, "_registered", {})
    operators.register(Shuffle)
    operators.register(Halve)


def _network(rng, *layers: Layer) -> Network:
    """`layers` behind a convolution "conv" of 5 channels."""
    scales = np.full(5, 1 << 15, np.int32), np.full(5, 23, np.int32)
    weight = rng.integers(-128, 128, (5, 3, 3, 2), np.int8)
    conv = Conv("conv", "input", weight, np.arange(5, dtype=np.int32), *scales, (1, 1), (0, 0, 0, 0), 0, 0, -128, 127)
    return network_of((6, 7, 2), conv, *layers)


ORDER = np.array([4, 2, 0, 1, 3], np.int8)


@pytest.mark.usefixtures("registered")
def test_an_operator_from_outside_runs_like_those_inside(tmp_path):
    rng = np.random.default_rng(3)
    save_network(tmp_path / "a", _network(rng, Halve("half", "conv"), Shuffle("mixed", "half", ORDER)))
    network = load_network(tmp_path / "a")
    assert [layer.kind for layer in network.layers] == ["conv", "halve", "shuffle"]
    assert output_shapes(network)["mixed"] == (4, 5, 5)
    assert lower_bound(network, 4, 4, 4) == 113  # 1800 MACs / 16 of the convolution, more than its 90 bytes / 4
    ifmaps = rng.integers(-128, 128, (3, 6, 7, 2), np.int8)
    found, recomputed = golden.run(network, ifmaps), reference.run(network, ifmaps)
    half = np.floor(found["conv"] / 2 + 0.5)
    assert np.ptp(half) > 50
    assert np.array_equal(found["half"], half)
    assert np.array_equal(found["mixed"], half[..., [4, 2, 0, 1, 3]])
    for layer in network.layers:
        assert np.array_equal(recomputed[layer.name].numpy(), found[layer.name])


@pytest.mark.usefixtures("registered")
def test_a_file_that_breaks_an_operators_rule_is_refused(tmp_path):
    save_network(tmp_path / "a", _network(np.random.default_rng(3), Shuffle("mixed", "conv", ORDER // 2)))
    with pytest.raises(DeeplockError, match="a: layer mixed: wrong order"):
        load_network(tmp_path / "a")


def test_an_operator_from_outside_is_compiled_by_what_it_says():
    rng, config = np.random.default_rng(4), Config(rows=4, cols=8, bytes_per_beat=4)
    network = _network(rng, Halve("half", "conv"))
    ifmaps = rng.integers(-128, 128, (3, 6, 7, 2), np.int8)
    loadable = compile_network(network, config, rng)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["half"])
    with pytest.raises(
        DeeplockError, match="layer half: the accelerator leaves out diagonal, and has no operator halve"
    ):
        compile_network(network, Config(diagonal=False))


def test_an_operator_that_the_hardware_lacks_is_refused_by_name():
    network = _network(np.random.default_rng(5), Shuffle("mixed", "conv", ORDER))
    with pytest.raises(DeeplockError, match="^layer mixed: the accelerator has no operator shuffle$"):
        compile_network(network, Config())


def test_an_operator_that_is_not_registered_is_refused_by_name(tmp_path):
    save_network(tmp_path / "a", _network(np.random.default_rng(6), Shuffle("mixed", "conv", ORDER)))
    known = "add, average_pool, concat, conv, cut, depthwise, grouped, max_pool, multiply, table"
    message = f"a: operator must be one of {known}, not shuffle"
    with pytest.raises(DeeplockError, match=message):
        load_network(tmp_path / "a")


@pytest.mark.usefixtures("registered")
def test_a_name_that_is_taken_is_refused():
    for taken in (Halve, Conv):
        with pytest.raises(ValueError, match=f"there is an operator {taken.kind} already"):
            operators.register(taken)


def test_an_operator_is_named_as_its_file():
    for name in operators.names():
        assert operators.operator(name).kind == name
