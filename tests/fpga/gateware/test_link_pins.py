"""Link and flash reader through their pins, with the models of UART and flash, on both simulators."""

import pytest

from deeplock.pymodel.spec.config import Config
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from tests.fpga.loop import Loop

HALF_RATE = Config(rows=8, cols=8, bytes_per_beat=8, lanes=8)
FULL_RATE = Config(rows=4, cols=4, bytes_per_beat=4, lanes=4)


@pytest.mark.parametrize(
    ("config", "simulator"),
    [
        (HALF_RATE, "icarus"),
        *(pytest.param(FULL_RATE, simulator, marks=pytest.mark.slow) for simulator in ("verilator", "icarus")),
    ],
    indirect=["simulator"],
    ids=["half_rate-icarus", "full_rate-verilator", "full_rate-icarus"],
)
def test_the_link_through_its_pins(config, simulator, seed, tmp_path):
    folder = build(config, simulator, component=Loop)
    assert run_bench("tests.fpga.gateware.bench_link", folder, simulator, tmp_path, {"DEEPLOCK_SEED": str(seed)}) == 5
