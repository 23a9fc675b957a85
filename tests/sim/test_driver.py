"""The driver, on a fake accelerator that checks what it gets, on both simulators."""

from types import SimpleNamespace

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.sim import Driver
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from tests.sim.fake import FakeAccelerator

ALL_BUT_RESET = ("aclk", "s_axil_awaddr", "s_axis_loadable_tdata", "s_axis_ifmap_tdata", "m_axis_ofmap_tdata", "irq")


@pytest.mark.parametrize("pauses", [pytest.param(0.0, marks=pytest.mark.slow), 0.4])
def test_driver(simulator, pauses, tmp_path):
    folder = build(Config(), simulator, component=FakeAccelerator)
    count = run_bench("tests.sim.bench_driver", folder, simulator, tmp_path, {"DEEPLOCK_TEST_PAUSES": str(pauses)})
    assert count == 7
    log = (tmp_path / "log").read_text().lower()
    key = bytes(range(0x71, 0x91))
    for word in (key[:4], key[:4][::-1]):
        assert word.hex() not in log and word.hex(" ") not in log


@pytest.mark.parametrize("ports, missing", [((), "s_axil_awaddr"), (ALL_BUT_RESET, "aresetn")])
def test_a_module_without_the_ports_is_named(ports, missing):
    top = SimpleNamespace(_name="npu", **dict.fromkeys(ports))
    with pytest.raises(DeeplockError, match=f"^npu: has no port {missing}: the driver needs those that"):
        Driver(top)
