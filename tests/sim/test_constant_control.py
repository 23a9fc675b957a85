"""Handshakes and counters of the whole accelerator depend on no key, weight or ifmap, but for the verdict on a tag."""

import pytest

from deeplock.pymodel.lock.suites import names
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from tests.sim import mini

THOROUGH = {"DEEPLOCK_TEST_THOROUGH": "1"}


@pytest.mark.parametrize(
    "simulator, variables", [("icarus", {}), pytest.param("verilator", THOROUGH, marks=pytest.mark.slow)],
    indirect=["simulator"], ids=["few", "many"],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("plain", "ascon", "tinyjambu") else [])
        for name in names()
    ],
)
def test_constant_control(simulator, name, variables, tmp_path):
    variables = {"DEEPLOCK_TEST_SUITE": name, **variables}
    folder = build(mini.config_of(name), simulator)
    # two of them are skipped if the suite does not seal
    assert run_bench("tests.sim.bench_constant_control", folder, simulator, tmp_path, variables) == 3
