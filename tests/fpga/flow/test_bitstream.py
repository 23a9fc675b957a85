"""The boards' tops with little behind their pins, through Yosys and nextpnr to a bitstream."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import deeplock.fpga.flow.synth
from deeplock.fpga.boards import BOARDS
from deeplock.fpga.flow.bitstream import bitstream
from deeplock.fpga.flow.designs import Design, on_board
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.jobs import Job, Result
from deeplock.fpga.flow.nextpnr import read_report
from deeplock.fpga.flow.report import fault_of, row_of
from deeplock.fpga.flow.sources import Source
from deeplock.fpga.flow.synth import measure_area, measure_clock
from deeplock.pymodel.errors import DeeplockError
from tests.fpga.flow_tools import SYSTEM_COUNTER_BITS, TWINS, TinySystem

PREAMBLE = {"ice40": b"\x7e\xaa\x99\x7e", "ecp5": b"\xff\xff\xbd\xb3", "gw1n": b"\n1010010111000011\n"}
"""Where a bitstream begins, behind a comment: Lattice FPGA-TN-02001 and FPGA-TN-02039, Gowin UG290."""

PINS = 4
"""Clock, receive, transmit, and one to select the flash. Its data and, where that is on a pin, its clock come on top."""
SDRAM_PINS = 39
CELLS = {
    "ice40": {"ICESTORM_PLL": 1, "SB_IO": PINS + 4 + 1},
    "ecp5": {"EHXPLLL": 1, "TRELLIS_IO": PINS + 4, "USRMCLK": 1},
    "gw1n": {"rPLL": 1, "IOB": 2},  # of clock and receive: nextpnr has no places of outputs to count
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A cache of their own for these tests, and TinySystem on every board; gives the cache's folder."""
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPLOCK_BUILD", str(folder))
        patch.setattr("deeplock.fpga.gateware.top.System", TinySystem)
        yield folder


def board_at(name: str, clock_hz: int) -> tuple[Design, Device]:
    return on_board(replace(BOARDS[name], clock_hz=clock_hz))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in TWINS else name for name in BOARDS]
)
def test_a_top_that_meets_its_clock_comes_with_a_bitstream(name, build):
    design, device = on_board(BOARDS[name])
    area = measure_area(design, device)
    assert set(area.modules) == {"core.lock.counter", "top"}
    assert area.modules["core.lock.counter"]["ff"] == SYSTEM_COUNTER_BITS
    assert set(area.harness.values()) == {0}
    placement = measure_clock(design, device, 1)
    assert placement.meets and placement.fmax_mhz > BOARDS[name].clock_hz / 1e6
    assert PREAMBLE[device.family] in placement.bitstream[:512]
    result = Result(Job(design, device, [1]), area, [placement])
    row = row_of(result)
    assert (row["board"], row["clock_mhz"], row["meets"]) == (name, BOARDS[name].clock_hz / 1e6, True)
    assert fault_of(row) == ""
    cells, expected = {kind: used for kind, (used, _) in placement.used.items()}, dict(CELLS[device.family])
    if BOARDS[name].sdram:
        expected["TRELLIS_IO"] += SDRAM_PINS
    assert expected.items() <= cells.items(), str(cells)


def test_nextpnr_holds_the_clock_against_the_constraint_of_the_net(build):
    """In its own words, without the warning that the net is not there."""
    design, device = board_at("icebreaker", 24_000_000)
    measure_clock(design, device, 1)
    logs = [path.read_text() for path in build.glob("synth/*/seed-1-*.log")]
    logs = [log for log in logs if "constraining clock net 'clock.pll_clock' to 24.00 MHz" in log]
    assert logs
    for log in logs:
        assert "(PASS at 24.00 MHz)" in log and "Warning" not in log


def test_a_clock_that_is_not_reached_gives_no_bitstream(build):
    design, device = board_at("icebreaker", 96_000_000)
    made = set(build.glob("synth/*/*.bin"))
    placement = measure_clock(design, device, 1)
    assert placement.fmax_mhz < 96
    assert (placement.meets, placement.bitstream) == (False, b"")
    assert set(build.glob("synth/*/*.bin")) == made
    result = Result(Job(design, device, [1]), measure_area(design, device), [placement])
    message = f"clock sync must reach 96 MHz, not {placement.fmax_mhz} MHz (the best of 1 seeds): no bitstream"
    row = row_of(result)
    assert (row["meets"], fault_of(row)) == (False, message)


def test_the_cache_goes_by_constraints(build, monkeypatch):
    design, device = board_at("icebreaker", 24_000_000)
    first = measure_clock(design, device, 1)

    def fail(*_):
        raise AssertionError("not taken from the cache")

    def source(device: Device) -> Source:
        known = design.source(device)
        return replace(known, constraints=known.constraints.replace("tx__io 9", "tx__io 10"))

    for name in ("synthesise", "place_and_route"):
        monkeypatch.setattr(deeplock.fpga.flow.synth, name, fail)
    assert measure_clock(design, device, 1) == first
    with pytest.raises(AssertionError, match="not taken from the cache"):
        measure_clock(replace(design, source=source), device, 1)


@pytest.mark.parametrize(
    "fmax",
    [
        {},
        {"clk": {"achieved": 30.0, "constraint": 12.0}},
        {"clk": {"achieved": 30.0, "constraint": 24.0}, "other": {"achieved": 30.0, "constraint": 24.0}},
    ],
    ids=["none", "another", "two"],
)
def test_a_clock_that_nextpnr_did_not_check_is_no_clock(fmax, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"fmax": fmax, "critical_paths": [], "utilization": {}}))
    with pytest.raises(RuntimeError, match="nextpnr must check one clock at 24.0 MHz, not"):
        read_report(path, 1, replace(DEVICES["up5k"], mhz=24.0), True, str)


@pytest.mark.parametrize("ends", [("posedge clk", "<async>"), ("<async>", "posedge clk")], ids=["to", "from"])
def test_a_pin_of_ice40_that_is_half_a_period_away_is_refused(ends, tmp_path):
    def read(first: float, second: float, on_pins: bool = True) -> None:
        steps = [{"delay": delay, "to": {"cell": "a"}} for delay in (first, second)]
        paths = [{"from": ends[0], "to": ends[1], "path": steps}]
        clocks = {"clk": {"achieved": 30.0, "constraint": 24.0}}
        path = tmp_path / "report.json"
        path.write_text(json.dumps({"fmax": clocks, "critical_paths": paths, "utilization": {}}))
        read_report(path, 1, replace(DEVICES["up5k"], mhz=24.0), on_pins, str)

    read(10.4, 10.4)
    read(10.4, 10.5, on_pins=False)
    with pytest.raises(DeeplockError, match=r"^paths to pins must take 20.8 ns at most, half a period, not 20.9 ns$"):
        read(10.4, 10.5)


@pytest.mark.parametrize(
    "family, program, why",
    [("ice40", "icepack", "nonsense"), ("ecp5", "ecppack", "nonsense"), ("gw1n", "gowin_pack", "JSONDecodeError")],
)
def test_what_cannot_be_packed_says_why(family, program, why, tmp_path):
    routed = Path(tmp_path, "seed.asc")
    routed.write_text("nonsense\n")
    with pytest.raises(RuntimeError, match=rf"(?s){program} made no bitstream of .*seed.asc: .*{why}"):
        bitstream(routed, family)


@pytest.mark.slow
def test_icebreaker_comes_to_a_bitstream():
    design, device = on_board(BOARDS["icebreaker"])
    placement = measure_clock(design, device, 1)
    assert placement.fmax_mhz >= 24
    assert PREAMBLE["ice40"] in placement.bitstream[:512]
