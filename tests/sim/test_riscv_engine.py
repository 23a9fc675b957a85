"""The C of the software baseline, compiled for this machine, against the golden model."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

import deeplock.sim.riscv.build
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input
from deeplock.sim.riscv.build import build_core, build_firmware, check_compiler
from deeplock.sim.riscv.cores import CORES
from deeplock.sim.riscv.memory import VARIANTS, arena_of
from deeplock.sim.riscv.run import run_on_host
from tests.random_networks import cases, chains, convs, network_of

KEY = bytes(range(7, 23))
MANY = settings(max_examples=25, suppress_health_check=list(HealthCheck))


def expected(network: Network, ifmaps: np.ndarray) -> np.ndarray:
    return golden.run(network, ifmaps)[network.layers[-1].name]


def job(network: Network, ifmaps: np.ndarray, variant: str, **arguments):
    return arena_of(network, ifmaps, variant, b"" if variant == "plain" else KEY, **arguments)


def taken(network: Network) -> bool:
    """The software has few operators, no dilation, and no padding of pools."""
    known = all(layer.kind in ("conv", "add", "max_pool", "average_pool") for layer in network.layers)
    convs = (layer for layer in network.layers if isinstance(layer, Conv))
    pools = (layer for layer in network.layers if isinstance(layer, MaxPool | AveragePool))
    return known and all(conv.dilation == (1, 1) for conv in convs) and not any(any(pool.padding) for pool in pools)


def check(network: Network, ifmaps: np.ndarray) -> None:
    for variant in VARIANTS:
        found = run_on_host(job(network, ifmaps, variant)).results.ofmaps
        assert np.array_equal(found, expected(network, ifmaps)), variant


@MANY
@given(cases())
def test_any_layers_and_parameters_give_golden_bytes(case):
    assume(taken(case[0]))
    check(*case)


@MANY
@given(chains())
def test_deep_networks_give_golden_bytes(case):
    assume(taken(case[0]))
    check(*case)


def test_a_bias_beyond_the_accumulator_gives_golden_bytes():
    one = np.ones((1, 1, 1, 1), np.int8)
    numbers = (np.array([value], np.int32) for value in (3 * 2**24 - 5, 1 << 15, 15))
    layer = Conv("narrow", "input", one, *numbers, (1, 1), (0, 0, 0, 0), 0, 0, -128, 127, accumulator_bits=24)
    ifmaps = np.array([-100, 0, 100], np.int8).reshape(3, 1, 1, 1)
    assert expected(network_of((1, 1, 1), layer), ifmaps).ravel().tolist() == [-105, -5, 95]
    check(network_of((1, 1, 1), layer), ifmaps)


def test_an_operator_that_the_software_lacks_is_refused_by_name():
    class Unknown(Layer):
        kind = "unknown"

        def output_shape(self, shape):
            return shape

        def run(self, ifmaps):
            return ifmaps

    network = network_of((4, 4, 1), Unknown("mixed", "input"))
    with pytest.raises(DeeplockError, match="^layer mixed: the software has no operator unknown$"):
        arena_of(network, np.zeros((1, 4, 4, 1), np.int8), "plain")


@settings(MANY, max_examples=10)
@given(convs("dense", "input", 300, (1, 1), False, most_channels=9))
def test_dense_layers_longer_than_a_piece_give_golden_bytes(layer):
    layer = replace(layer, stride=(1, 1), padding=(0, 0, 0, 0))
    ifmaps = np.random.default_rng(len(layer.weight)).integers(-128, 128, (2, 1, 1, 300), np.int8)
    check(network_of((1, 1, 300), layer), ifmaps)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_flipped_byte_of_the_parameters_is_seen(variant):
    network = trained.load("digits")
    ifmaps = quantise_input(network, datasets.load("digits").test_images[:8])
    for flip in (0, 40, 1000):  # of a bias, of a weight, of a weight of the second layer
        found = run_on_host(job(network, ifmaps, variant, flip=flip)).results.ofmaps
        assert not np.array_equal(found, expected(network, ifmaps))


def test_the_stream_is_locked_by_the_suite():
    network = trained.load("digits")
    ifmaps = np.zeros((1, *network.input_shape), np.int8)
    plain, locked = job(network, ifmaps, "plain"), job(network, ifmaps, "fused")
    size = plain.parameter_bytes
    assert size > sum(layer.weight.size for layer in network.layers if hasattr(layer, "weight"))
    at = plain.data.index(network.layers[0].weight.reshape(16, 9)[:4].T.tobytes()) - 32
    streams = [np.frombuffer(arena.data, np.uint8, size, at) for arena in (plain, locked)]
    assert np.array_equal(suite("deep-lock").unlock(streams[1], KEY), streams[0])


def test_fused_holds_little_unlocked_at_a_time_and_no_copy():
    network = trained.load("mnist")
    fused = job(network, np.zeros((1, *network.input_shape), np.int8), "fused")
    assert fused.scratch_bytes < 700 < 85_000 < fused.parameter_bytes
    whole = job(network, np.zeros((1, *network.input_shape), np.int8), "unlock-all")
    assert len(whole.data) >= len(fused.data) + fused.parameter_bytes - 8192  # scratch lies at a chosen address


def test_faults_of_arguments_are_named():
    network, ifmaps = trained.load("digits"), np.zeros((1, 8, 8, 1), np.int8)
    with pytest.raises(ValueError, match="variant must be one of plain, unlock-all, fused, not twice"):
        arena_of(network, ifmaps, "twice")
    with pytest.raises(ValueError, match="key must be 16 bytes, not 24"):
        arena_of(network, ifmaps, "fused", bytes(24))
    with pytest.raises(DeeplockError, match="there are 5616 bytes of parameters, and no byte 5616"):
        arena_of(network, ifmaps, "plain", flip=5616)


def missing(name: str, monkeypatch) -> None:
    find = deeplock.sim.riscv.build.importlib.util.find_spec
    monkeypatch.setattr(
        deeplock.sim.riscv.build.importlib.util, "find_spec", lambda found: None if found == name else find(found)
    )


def test_without_compiler(monkeypatch):
    missing("ziglang", monkeypatch)
    for use in (check_compiler, lambda: build_firmware("vexriscv")):
        with pytest.raises(DeeplockError, match="^no compiler for RISC-V: install the Python package ziglang$"):
            use()


@pytest.mark.parametrize("core", CORES)
def test_without_the_cores_verilog(core, monkeypatch):
    package = CORES[core].package
    missing(package, monkeypatch)
    with pytest.raises(DeeplockError, match=f"install the Python package {package.replace('_', '-')}$"):
        build_core(core)


def test_without_gcc(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(DeeplockError, match="^no gcc on PATH: install gcc with the system's package manager$"):
        deeplock.sim.riscv.build.build_host()


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is missing: apt-get install valgrind")
def test_callgrind_counts_the_same_instructions_again():
    network = trained.load("digits")
    ifmaps = np.zeros((1, *network.input_shape), np.int8)
    counts = [run_on_host(job(network, ifmaps, variant), count=True).instructions for variant in (*VARIANTS, "plain")]
    plain, whole, fused, again = (count or 0 for count in counts)
    assert 27_968 < plain == again < whole < fused < 2 * plain
