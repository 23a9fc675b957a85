"""The cycles of each layer, on every simulator: they are the layer's own, and add up to those of the whole run."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.sim.profile import profile
from deeplock.sim.run import simulate
from tests.random_networks import chains
from tests.sim import tiny

CONFIG = tiny.ACCUMULATORS_TOO_FEW
LOADABLE = tiny.tiny_loadable(CONFIG)
IFMAPS = list(tiny.ifmaps(3))
CAUSES = [name for name, _ in COUNTERS if name != "CYCLES"]


def measured(loadable, ifmaps, simulator: str, pauses: float = 0.0) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Counters of the whole run and of its layers."""
    whole = simulate(loadable, CONFIG, tiny.KEY, ifmaps, simulator, pauses, seed=5).counters
    return whole, profile(loadable, CONFIG, tiny.KEY, ifmaps, whole, simulator, pauses, seed=5)


native = cache(lambda: measured(LOADABLE, IFMAPS, "native"))


def check(loadable, count: int, whole: dict[str, int], layers: list[dict[str, int]]) -> None:
    assert len(layers) == len(loadable.program)
    for fields, fact, counters in zip(loadable.program, loadable.interface.layers, layers, strict=True):
        assert counters["CYCLES"] == sum(counters[cause] for cause in CAUSES)
        kblocks = fields.kernel_h * fields.kernel_w * fields.cblocks
        assert counters["COMPUTE"] == count * fields.groups * kblocks * fields.pixels == count * fact.words
        assert fields.wait_input or not counters["INPUT_STARVED"]
        assert fields.to_stream or not counters["OUTPUT_STALLED"]
    for name, _ in COUNTERS:
        assert sum(counters[name] for counters in layers) == whole[name]


@pytest.mark.parametrize("number", [1, len(LOADABLE.program)])
def test_a_layer_counts_the_same_with_cocotb(number):
    run = simulate(LOADABLE, CONFIG, tiny.KEY, IFMAPS, "verilator", seed=5, profile=number)
    assert run.counters == native()[1][number - 1]


@pytest.mark.slow
@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_layers_add_up_to_the_run(pauses):
    whole, layers = measured(LOADABLE, IFMAPS, "verilator", pauses)
    check(LOADABLE, len(IFMAPS), whole, layers)
    if not pauses:
        assert (whole, layers) == native()


def test_layers_add_up_to_the_run_without_cocotb():
    whole, layers = native()
    check(LOADABLE, len(IFMAPS), whole, layers)
    assert layers[0]["INPUT_STARVED"] and layers[-1]["LOAD_BOUND"]


@pytest.mark.slow
@settings(max_examples=4)
@given(chains(most_channels=9, most_pixels=7))
def test_layers_of_random_networks_add_up(case):
    network, ifmaps = case
    try:
        loadable = compile_network(network, CONFIG, np.random.default_rng(0)).locked(CONFIG.suite, tiny.KEY)
    except DeeplockError:
        return  # does not fit: test_compiler.py looks after that
    check(loadable, len(ifmaps), *measured(loadable, list(ifmaps), "native", pauses=0.2))


def test_a_layer_that_the_program_does_not_have_counts_nothing():
    run = simulate(LOADABLE, CONFIG, tiny.KEY, IFMAPS, "native", profile=len(LOADABLE.program) + 1)
    assert set(run.counters.values()) == {0}


def test_progress_names_the_layer():
    said, count = [], len(LOADABLE.program)
    profile(LOADABLE, CONFIG, tiny.KEY, IFMAPS, native()[0], "native", progress=lambda *step: said.append(step))
    assert said[-1] == (f"layer {count} of {count}: simulating inferences", count, count)


def test_layers_that_do_not_add_up_are_told_in_a_line():
    whole, _ = native()
    text = f"the layers' DRAIN add up to {whole['DRAIN']} cycles, those of the whole run are {whole['DRAIN'] + 1}"
    with pytest.raises(DeeplockError, match=f"^{text}$"):
        profile(LOADABLE, CONFIG, tiny.KEY, IFMAPS, {**whole, "DRAIN": whole["DRAIN"] + 1}, "native")
