"""Whole networks on the RTL of the accelerator, on both simulators, against the golden model."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from deeplock.sim.run import simulate
from tests.features import LEAN, left_out
from tests.random_networks import chains, first_layers
from tests.sim import tiny

BENCH = Path(__file__).with_name("bench_accelerator.py")
FROM_UNKNOWN = "runs_follow_runs|a_start_without|abort_at|reset_in|interrupts_come|the_key_can_go"
"""Tests of the bench that begin where registers are or become unknown, which only Icarus tells from 0."""
SMALL = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=64, activation_words=2048)
NARROW = replace(SMALL, lanes=1, multiplier_cycles=4, sum_bits=24)
SMALLEST = replace(NARROW, multiplier_cycles=8, single_port=True, sbox="rom", **LEAN)


@pytest.mark.whole_core
@pytest.mark.parametrize("pauses", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_accelerator(simulator, pauses, tmp_path):
    folder = build(tiny.ACCUMULATORS_TOO_FEW, simulator)
    tests = re.findall(r"^@cocotb\.test\(.*\)\nasync def (\w+)", BENCH.read_text(), re.MULTILINE)
    environment = {"DEEPLOCK_TEST_PAUSES": str(pauses)}
    if simulator == "icarus" and pauses:  # it is slow, and without pauses it runs all of them
        tests = [name for name in tests if re.search(FROM_UNKNOWN, name)]
        environment["COCOTB_TEST_FILTER"] = FROM_UNKNOWN
    assert run_bench("tests.sim.bench_accelerator", folder, simulator, tmp_path, environment) == len(tests) > 4


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, sbox="composite"), marks=pytest.mark.slow),
        pytest.param(Config(rows=4, cols=16, bytes_per_beat=4, lanes=1, sbox="rom"), marks=pytest.mark.slow),
        pytest.param(
            Config(rows=4, cols=4, bytes_per_beat=4, single_port=True, dense=False, sbox="rom"), marks=pytest.mark.slow
        ),
        pytest.param(NARROW, marks=pytest.mark.slow),
        SMALLEST,
        pytest.param(replace(SMALL, padding=False, diagonal=False), marks=pytest.mark.slow),
        pytest.param(
            Config(rows=4, cols=8, bytes_per_beat=4, folding=False, pipeline_registers=False), marks=pytest.mark.slow
        ),
        pytest.param(
            Config(rows=4, cols=8, bytes_per_beat=8, padding=False, dense=False, pipeline_registers=False),
            marks=pytest.mark.slow,
        ),
        pytest.param(replace(NARROW, folding=False, diagonal=False, dense=False), marks=pytest.mark.slow),
        pytest.param(Config(), marks=pytest.mark.slow),
        pytest.param(Config(rows=8, cols=16, bytes_per_beat=16, sbox="composite"), marks=pytest.mark.slow),
        pytest.param(Config(rows=16, cols=16, bytes_per_beat=16, sbox="rom"), marks=pytest.mark.slow),
    ],
    ids=lambda config: f"{config.rows}x{config.cols}-{config.sbox}-{config.sum_bits}{left_out(config)}",
)
def test_geometries(config):
    """Small arrays on Icarus, which builds in two seconds what takes Verilator thirty; large ones run too slowly there."""
    loadable, ifmaps = tiny.tiny_loadable(config), tiny.ifmaps(2)
    simulator = "icarus" if config.cols < 16 else "native"
    for key, pauses in ((tiny.KEY, 0.3), (tiny.WRONG_KEY, 0.0)):
        found = simulate(loadable, config, key, list(ifmaps), simulator, pauses=pauses, seed=5).ofmaps
        assert np.array_equal(np.stack(found), tiny.expected(loadable, config, ifmaps, key))


@pytest.mark.slow
def test_a_layer_that_is_not_narrow_stops_an_accelerator_of_24_bits():
    loadable = tiny.tiny_loadable(NARROW)
    for layer in (0, len(loadable.program) - 1):
        program = [replace(fields, narrow=int(index != layer)) for index, fields in enumerate(loadable.program)]
        with pytest.raises(AcceleratorError, match="BAD_DESCRIPTOR"):
            simulate(replace(loadable, program=tuple(program)), NARROW, tiny.KEY, list(tiny.ifmaps(1)), "native")


@pytest.mark.parametrize("fields", [{"fold": 1}, {"diagonal": 1}, {"opcode": 2}, {"opcode": 3}], ids=str)
def test_a_layer_that_is_not_lean_stops_a_lean_accelerator(fields, monkeypatch):
    loadable = tiny.tiny_loadable(SMALLEST)
    monkeypatch.setattr(Loadable, "check_fits", lambda self, config: None)
    program = (*loadable.program[:-1], replace(loadable.program[-1], **fields))
    with pytest.raises(AcceleratorError, match="BAD_DESCRIPTOR"):
        simulate(replace(loadable, program=program), SMALLEST, tiny.KEY, list(tiny.ifmaps(1)), "icarus")


def test_the_lock_costs_at_most_32_cycles():
    """And the plain core, built without the unlock unit, computes the same."""
    simulator = "icarus"
    config = tiny.ACCUMULATORS_TOO_FEW
    plain_config = replace(config, suite="plain")
    ifmaps = tiny.ifmaps(3)
    locked = simulate(tiny.tiny_loadable(config), config, tiny.KEY, list(ifmaps), simulator)
    plain = simulate(tiny.tiny_loadable(plain_config), plain_config, b"", list(ifmaps), simulator)
    assert np.array_equal(np.stack(locked.ofmaps), np.stack(plain.ofmaps))
    assert 0 <= locked.counters["CYCLES"] - plain.counters["CYCLES"] <= 32
    assert locked.counters["KEY_STARVED"] == 0


@pytest.mark.parametrize("pauses", [0.0, 0.3])
@pytest.mark.parametrize(
    "simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.slow)], indirect=["simulator"]
)
def test_a_batch_shares_its_dense_weights(simulator, pauses):
    """5 ifmaps in batches of 3 or 4, so some too many; the second layer takes several descriptors for each. Those of 4 have two
    places for ifmaps."""
    config, ifmaps = tiny.ACCUMULATORS_TOO_FEW, tiny.ifmaps(5)
    dense = tiny.tiny_network().layers[-1].weight.size
    single = tiny.tiny_loadable(config)
    expected = tiny.expected(single, config, ifmaps)
    for batch, which in ((3, "native"), (4, simulator), (4, "native")):
        loadable = tiny.tiny_loadable(config, batch=batch)
        saved = batch * len(single.parameters) - len(loadable.parameters)
        assert (batch - 1) * dense <= saved < (batch - 1) * (dense + 200)
        assert loadable.header.alternate == (batch == 4)
        jobs = 2 if which == "native" else 1
        result = simulate(loadable, config, tiny.KEY, list(ifmaps), which, pauses=pauses, jobs=jobs)
        assert np.array_equal(np.stack(result.ofmaps), expected)


@pytest.mark.parametrize(
    "config",
    [
        *(SMALL, NARROW),
        *(
            pytest.param(replace(each, tables=True, products=True), marks=pytest.mark.slow)
            for each in (SMALL, NARROW, replace(SMALL, pipeline_registers=False))
        ),
    ],
    ids=lambda config: f"{config.sum_bits}{left_out(config)}",
)
@settings(max_examples=15)
@given(st.data())
def test_random_networks(config, data):
    kinds = {"with_tables": config.tables, "with_products": config.products}
    network, ifmaps = data.draw(chains(most_channels=9, most_pixels=7, with_outputs=True, **kinds))
    try:
        loadable = compile_network(network, config, np.random.default_rng(0)).locked(config.suite, tiny.KEY)
    except DeeplockError:
        return  # does not fit: test_compiler.py looks after that
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(np.stack(simulate(loadable, config, tiny.KEY, list(ifmaps), "native").ofmaps), expected)
    wrong = interpreter.run(loadable, tiny.WRONG_KEY, ifmaps, config)
    found = simulate(loadable, config, tiny.WRONG_KEY, list(ifmaps), "native", pauses=0.2, seed=3).ofmaps
    assert np.array_equal(np.stack(found), wrong)


@settings(max_examples=15)
@given(first_layers())
def test_random_first_layers(case):
    """About a third of them with stacked rows of the ifmap."""
    network, ifmaps = case
    loadable = compile_network(network, SMALL, np.random.default_rng(0)).locked(SMALL.suite, tiny.KEY)
    found = simulate(loadable, SMALL, tiny.KEY, list(ifmaps), "native", pauses=0.2, seed=1).ofmaps
    assert np.array_equal(np.stack(found), golden.run(network, ifmaps)["first"])
