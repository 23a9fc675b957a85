"""What the flow takes from a family, by one from outside that shares nothing with those that there are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deeplock.fpga.flow import bitstream as packing
from deeplock.fpga.flow import nextpnr, toolchain
from deeplock.fpga.flow.families import FAMILIES, find_family
from deeplock.fpga.flow.families.family import Device, Family
from deeplock.fpga.flow.netlist import read_netlist
from deeplock.fpga.flow.synth import measure_area
from deeplock.pymodel.errors import DeeplockError
from tests.fpga.flow_tools import TINY

BOX = Device("box", "toy", "TOY1", "synth_toy", ("--box",), 10, False, {"lut4": 8})
TOY = Family(
    devices=(BOX,),
    package="toy-tools",
    cells={"TOY_LUT": {"lut4": 1}, "TOY_PAIR": {"ff": 2}},
    dsp="TOY_MUL",
    nextpnr="nextpnr-toy",
    options=("--fast",),
    constraints=("cst", "--vopt=cst"),
    configuration=("cfg", "--write"),
    pack=("toypack", "-o", "{bitstream}", "{configuration}"),
    unpack=("toyunpack", "{bitstream}", "{configuration}"),
    fill=("toyfill", "{before}", "{after}"),
    bram_words=16,
    bitstream=".fs",
    preamble=b"TOY",
)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy", TOY)


def test_an_unknown_family_is_named_with_those_that_there_are(monkeypatch):
    monkeypatch.delitem(FAMILIES, "toy")
    assert list(FAMILIES) == ["ecp5", "gw1n", "ice40"]
    with pytest.raises(DeeplockError, match=r"^family must be ecp5, gw1n, ice40, not toy$"):
        find_family("toy")
    for use in (
        lambda: nextpnr.options(BOX, 1, True),
        lambda: packing.bitstream(Path("x.cfg"), "toy"),
        lambda: measure_area(TINY, replace(BOX, device=None)),
    ):
        with pytest.raises(DeeplockError, match=r"^family must be ecp5, gw1n, ice40, not toy$"):
            use()


def test_nextpnr_gets_its_options_and_files(monkeypatch, tmp_path):
    def run(program: str, arguments: list[str], folder: Path) -> str:
        ran.append((program, arguments))
        (folder / "r.log").write_text("Program finished normally.")
        (folder / "r.json").write_text("{}")
        return ""

    ran: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(nextpnr, "run_program", run)
    nextpnr.place_and_route(tmp_path / "n.json", BOX, 3, "IO_LOC clk 52;", tmp_path / "r.json")
    nextpnr.place_and_route(tmp_path / "n.json", BOX, 3, "", tmp_path / "r.json")
    common = ["--box", "-q", "--seed", "3", "--freq", "10", "--timing-allow-fail", "--fast"]
    files = ["--json", "n.json", "--report", "r.json", "--log", "r.log"]
    assert ran[0] == ("nextpnr-toy", [*common, *files, "--vopt=cst=r.cst", "--write=r.cfg"])
    assert ran[1] == ("nextpnr-toy", [*common, *files])
    assert (tmp_path / "r.cst").read_text() == "IO_LOC clk 52;"
    assert nextpnr.routed(tmp_path / "r.json", BOX) == tmp_path / "r.cfg"


def test_the_packer_makes_the_bitstream(monkeypatch, tmp_path):
    def run(program: str, arguments: list[str], folder: Path) -> str:
        assert (program, arguments[0], arguments[2]) == ("toypack", "-o", "r.cfg")
        (folder / arguments[1]).write_bytes(b"comment TOY bits")
        return ""

    monkeypatch.setattr(packing, "run_program", run)
    assert packing.bitstream(tmp_path / "r.cfg", "toy") == b"comment TOY bits"
    assert (tmp_path / "r.fs").exists()


def test_cells_are_counted_by_its_table(tmp_path):
    cells = {"a": {"type": "TOY_LUT"}, "b": {"type": "TOY_PAIR"}, "c": {"type": "$scopeinfo"}}
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    (tmp_path / "netlist.il").write_text("")
    (found,) = read_netlist(tmp_path / "netlist.json", TOY).modules.values()
    assert {what: count for what, count in found.items() if count} == {"lut4": 1, "ff": 2}
    with pytest.raises(KeyError, match="TOY_LUT"):
        read_netlist(tmp_path / "netlist.json", FAMILIES["ecp5"]).modules  # noqa: B018


def test_a_missing_program_is_told_with_its_package(monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    for program in ("nextpnr-toy", "toypack"):
        with pytest.raises(DeeplockError, match=f"^synthesis needs {program}: pip install toy-tools$"):
            toolchain.find_program(program)
