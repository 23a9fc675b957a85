"""The accelerator behind its memory master: on both simulators under cocotbext-axi's memory, and natively."""

import re
from pathlib import Path

import numpy as np
import pytest

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.spec import memory
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from deeplock.sim.memory.design import accelerator_with_memory
from deeplock.sim.memory.host import MemoryHost, run_from_memory
from deeplock.sim.results import SimulationError
from tests.sim import tiny
from tests.sim.memory_design import DESIGN

BENCH = Path(__file__).with_name("bench_memory.py")


@pytest.mark.parametrize("pauses", [0.3, pytest.param(0.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.slow)], indirect=["simulator"]
)
def test_digits_errors_aborts_and_resets(simulator, pauses, tmp_path, seed):
    folder = build(DESIGN, simulator, component=accelerator_with_memory)
    tests = re.findall(r"^@cocotb\.test\(\)\nasync def (\w+)", BENCH.read_text(), re.MULTILINE)
    environment = {"DEEPLOCK_TEST_PAUSES": str(pauses), "DEEPLOCK_SEED": str(seed)}
    if simulator == "icarus":  # it is slow
        environment["COCOTB_TEST_FILTER"] = "digits_whole|reset_in"
        assert run_bench("tests.sim.bench_memory", folder, simulator, tmp_path, environment) == 2
        return
    assert run_bench("tests.sim.bench_memory", folder, simulator, tmp_path, environment) == len(tests) == 6


@pytest.mark.parametrize("latency, pauses", [(1, 0.0), (60, 0.3)])
def test_a_run_without_python_in_the_loop_is_right(latency, pauses, seed):
    config = DESIGN.config
    loadable, ifmaps = tiny.tiny_loadable(config), tiny.ifmaps(3, seed)
    run = run_from_memory(loadable, DESIGN, tiny.KEY, list(ifmaps), latency, pauses, seed)
    assert np.array_equal(np.stack(run.ofmaps), interpreter.run(loadable, tiny.KEY, ifmaps, config))
    assert run.counters["CYCLES"] == sum(value for name, value in run.counters.items() if name != "CYCLES")


def test_what_is_refused_or_outside_of_the_memory_ends_the_simulation():
    with pytest.raises(SimulationError, match="register PACKETS refuses 0x0"), MemoryHost(DESIGN, 1) as host:
        host.write("PACKETS", 0, of_master=True)
    with MemoryHost(DESIGN, 1) as host:
        host.begin(memory.Command.LOADABLE, 1 << 24, 8)
        with pytest.raises(SimulationError, match="an address is outside of the memory"):
            host.until(memory.Interrupt.IDLE, of_master=True)
