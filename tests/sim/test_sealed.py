"""The whole accelerator with each suite that seals, on both simulators, against the golden device."""

import re
from pathlib import Path

import pytest

from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from tests.sim import mini

BENCH = "tests.sim.bench_sealed"
TESTS = re.findall(
    r"^@cocotb\.test\(.*\)\nasync def (\w+)", Path(__file__).with_name("bench_sealed.py").read_text(), re.MULTILINE
)
FROM_UNKNOWN = "no_ofmap_beat_leaves|stops_at"
"""Tests of the bench that begin where registers are or become unknown, which only Icarus tells from 0."""


@pytest.mark.whole_core
@pytest.mark.parametrize(
    "simulator, pauses",
    [pytest.param("verilator", 0.0, marks=pytest.mark.slow), ("verilator", 0.3), ("icarus", 0.0)],
    indirect=["simulator"],
)
@pytest.mark.parametrize(
    "suite", ["acorn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ascon", "tinyjambu"))]
)
def test_sealed(simulator, pauses, suite, tmp_path):
    folder = build(mini.config_of(suite), simulator)
    variables = {"DEEPLOCK_TEST_PAUSES": str(pauses), "DEEPLOCK_TEST_SUITE": suite, "DEEPLOCK_TEST_THOROUGH": "1"}
    assert run_bench(BENCH, folder, simulator, tmp_path, variables) == len(TESTS) > 4


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize(
    "suite", ["acorn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ascon", "tinyjambu"))]
)
def test_sealed_with_unknown_registers(simulator, suite, tmp_path):
    folder = build(mini.config_of(suite), simulator)
    tests = [name for name in TESTS if re.search(FROM_UNKNOWN, name)]
    variables = {"DEEPLOCK_TEST_PAUSES": "0.3", "DEEPLOCK_TEST_SUITE": suite, "COCOTB_TEST_FILTER": FROM_UNKNOWN}
    assert run_bench(BENCH, folder, simulator, tmp_path, variables) == len(tests) > 1
