"""Tests that simulate RTL run on both simulators, and say at the end how many ran on each. Every process has one thread."""

import os
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from deeplock.sim.toolchain import SIMULATORS, check_simulator

# Machines are slow and loaded. `make test` tries the same examples each time, so that a change is refused for what it did
# and not for what was there before it; `make test-full` tries new ones, and first what failed the last time.
settings.register_profile(
    "same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile(
    "new",
    settings.get_profile("same"),
    derandomize=False,
    database=DirectoryBasedExampleDatabase(Path(__file__).parents[1] / "build" / "hypothesis"),
)
settings.load_profile("same")

_MANY_FORMS = {
    "tests/hw": 6,
    "tests/formal": 3,
    "tests/fpga/gateware": 4,
    "tests/cli/test_outputs": 8,
    "tests/cli/test_options": 8,
}
"""So many forms of a test that `make test` runs a third of them only, by where they are."""

# PyTorch's, which it reads when it is imported: tensors this small, in as many processes as there are cores, only wait for
# each other's threads
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def no_fsync():
    """Key files need not be on the disk, which would wait for everything that builds wrote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(params=SIMULATORS)
def simulator(request, record_property) -> str:
    """The name of a simulator, each in turn; where one is not installed its tests fail."""
    check_simulator(request.param)
    record_property("simulator", request.param)  # travels with the report, from pytest-xdist's workers too
    return request.param


def pytest_collection_modifyitems(items) -> None:
    """Of a test with many forms two thirds are slow, chosen by their names: the others stand for them. A whole accelerator
    without pauses on Icarus is slow, and pauses there and both on Verilator see what it could find."""
    forms: dict[str, list[pytest.Item]] = {}
    for item in items:
        forms.setdefault(item.nodeid.partition("[")[0], []).append(item)
        parameters = getattr(item, "callspec", None) and item.callspec.params
        if item.get_closest_marker("whole_core") and (parameters["simulator"], parameters["pauses"]) == ("icarus", 0.0):
            item.add_marker(pytest.mark.slow)
    for name, some in forms.items():
        fast = [item for item in some if not item.get_closest_marker("slow")]
        if any(name.startswith(place) and len(some) >= many for place, many in _MANY_FORMS.items()):
            fast.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
            for item in fast[-(-len(some) // 3) :]:
                item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter) -> None:
    ran = Counter(
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == "simulator"
    )
    if ran:
        counts = ", ".join(f"{name} {ran[name]} tests" for name in SIMULATORS)
        terminalreporter.write_line(f"simulators: {counts}")
