"""The cores of the software baseline through synthesis: the Verilog that is simulated, all of it, and as it is."""

from functools import cache
from pathlib import Path

import pytest
from amaranth.lib.wiring import In, Out

import deeplock.fpga.flow.riscv
import deeplock.sim.riscv.build
import deeplock.sim.riscv.cores
from deeplock.fpga.flow.designs import riscv
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.netlist import RESOURCES
from deeplock.fpga.flow.riscv import PROCESSOR, core_rtlil, ports_of
from deeplock.fpga.flow.sweep import read_sweep
from deeplock.fpga.flow.synth import measure_area
from deeplock.fpga.flow.yosys import preparation, run_yosys
from deeplock.pymodel.errors import DeeplockError
from deeplock.sim.riscv.build import build_core
from deeplock.sim.riscv.cores import CORES

WISHBONE = {
    "i_cyc": Out(1), "i_stb": Out(1), "i_ack": In(1), "i_adr": Out(30), "i_miso": In(32), "i_cti": Out(3),
    "d_cyc": Out(1), "d_stb": Out(1), "d_ack": In(1), "d_we": Out(1), "d_adr": Out(30), "d_miso": In(32),
    "d_mosi": Out(32), "d_sel": Out(4), "d_cti": Out(3),
}  # fmt: skip
PORTS = {
    "vexriscv": WISHBONE,
    "vexriscv-cfu": WISHBONE,
    "picorv32": {
        "trap": Out(1), "valid": Out(1), "ready": In(1), "address": Out(32), "wdata": Out(32), "wstrb": Out(4),
        "rdata": In(32),
    },
}  # fmt: skip
PARTS = {
    "vexriscv": (["VexRiscv", "InstructionCache", "DataCache"], ["cfu", "soc"]),
    "vexriscv-cfu": (["VexRiscv", "InstructionCache", "DataCache", "cfu", "cfu.schedule", "cfu.inverse"], ["soc"]),
    "picorv32": (["picorv32", "picorv32_pcpi_fast_mul"], ["picorv32_pcpi_mul", "picorv32_pcpi_div", "soc"]),
}
"""Modules that must be there, and that must not: the memory, and what the parameters of the simulated core leave out."""

ECP5 = DEVICES["lfe5u-25f"]

rtlil_of = cache(core_rtlil)


@pytest.fixture(scope="module", autouse=True)
def build(tmp_path_factory):
    """A cache of their own for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPLOCK_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


@pytest.mark.parametrize("core", CORES)
def test_ports_are_the_buses(core):
    assert ports_of(rtlil_of(core)) == PORTS[core]


@pytest.mark.parametrize("core", CORES)
def test_the_core_is_there_with_its_unit_and_without_memory(core):
    there, absent = PARTS[core]
    lines = [line for line in rtlil_of(core).splitlines() if line.startswith("module ")]
    names = {line.removeprefix("module ").rpartition("\\")[2] for line in lines}
    assert PROCESSOR in names
    assert [name for name in there if name not in names] == []
    assert [name for name in absent if name in names] == []


@pytest.mark.parametrize("core", CORES)
def test_synthesis_takes_the_verilog_that_is_simulated(core, monkeypatch):
    simulated, synthesised = [], []

    def verilate(folder, top, sources, options):
        texts = [path.read_text() for path in sources if path.suffix == ".v"]
        simulated.append(("-DCFU" in options, "\n".join(texts)))

    def read(commands, made: Path):
        synthesised.append((" -DCFU " in commands[0], (made.parent / "core.v").read_text()))
        run_yosys(commands, made)

    monkeypatch.setattr(deeplock.sim.riscv.build, "build_program", verilate)
    monkeypatch.setattr(deeplock.fpga.flow.riscv, "run_yosys", read)
    build_core(core)
    assert core_rtlil(core) == rtlil_of(core)
    assert simulated == synthesised and len(simulated) == 1


def test_colliding_reads_stay_as_the_verilog_says(tmp_path):
    """Of registers 2, of the data cache 4 bytes of a word and a tag, of the instruction cache a word and a tag."""
    (tmp_path / "source.il").write_text(riscv("vexriscv").source(ECP5).rtlil)
    none_is_any = "select -assert-none r:COLLISION_X_MASK=1'1"
    commands = ("read_rtlil source.il", *preparation(), "select -assert-count 9 t:$memrd*", none_is_any)
    run_yosys((*commands, "select -clear", "write_rtlil flat.il"), tmp_path / "flat.il")


def harness_of(core: str) -> dict[str, int]:
    """A flip-flop for each bit that goes in, two and a LUT for each that comes out."""
    bits = {flow: sum(port.shape for port in PORTS[core].values() if port.flow == flow) for flow in (In, Out)}
    return dict.fromkeys(RESOURCES, 0) | {"ff": bits[In] + 2 * bits[Out], "lut4": bits[Out]}


def test_picorv32_has_registers_in_luts_and_one_multiplier():
    area = measure_area(riscv("picorv32"), ECP5)
    assert area.harness == harness_of("picorv32")
    assert area.total["lutram"] == 2 * (32 // 16) * (32 // 4), "two read ports of 32 words of 32 bits, 16 x 4 each"
    assert area.total["dsp"] == 2 * 2, "32 x 32 bits of 18 x 18"
    assert area.total["bram"] == 0
    assert area.total["lut4"] > 1000 and area.total["ff"] > 500


@pytest.mark.slow
def test_the_custom_unit_adds_luts_and_flip_flops_and_nothing_else():
    plain, with_unit = (measure_area(riscv(core), ECP5) for core in ("vexriscv", "vexriscv-cfu"))
    assert plain.harness == with_unit.harness == harness_of("vexriscv")
    for area in (plain, with_unit):
        blocks = 2 + (1 + 4) + (1 + 2)
        assert area.total["bram"] == blocks, "registers; tags and four bytes; tags and two halves of 1024 words"
        assert area.total["dsp"] == 2 * 2
    more = {what: with_unit.total[what] - plain.total[what] for what in RESOURCES}
    assert more["ff"] >= (3 * 32) + 32 + 128, "key words, result, key schedule"
    assert 8 * 60 < more["lut4"] < 8 * 90 + 600, "eight S-boxes, and what is around them"


def test_an_unknown_core_and_a_missing_one_are_told_with_their_place(tmp_path, monkeypatch):
    path = tmp_path / "sweep.toml"
    path.write_text('[[component]]\ncomponent = "riscv"\ndevice = "lfe5u-25f"\ncore = "z80"\n')
    message = r"sweep.toml: \[\[component\]\] 1: core must be one of vexriscv, vexriscv-cfu, picorv32, not z80$"
    with pytest.raises(DeeplockError, match=message):
        read_sweep(path, 1)
    path.write_text(path.read_text().replace("z80", "vexriscv-cfu"))
    (job,) = read_sweep(path, 0)
    assert job.name == "lfe5u-25f riscv core=vexriscv-cfu"
    assert job.design.fields == {"component": "riscv", "core": "vexriscv-cfu"}
    monkeypatch.setattr(deeplock.sim.riscv.cores.importlib.util, "find_spec", lambda _: None)
    message = r"1: no VexRiscv_FullCfu.v: install the Python package pythondata-cpu-vexriscv$"
    with pytest.raises(DeeplockError, match=message):
        read_sweep(path, 1)


def test_without_yosys_there_is_one_line(monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(DeeplockError, match=r"^YOSYS names /nowhere/yosys, which is no program$"):
        core_rtlil("vexriscv-cfu")


def test_verilog_that_yosys_refuses_says_why(tmp_path, monkeypatch):
    (tmp_path / "bad.v").write_text("module processor (input clk; endmodule\n")
    monkeypatch.setattr(deeplock.fpga.flow.riscv, "core_verilog", lambda *_: [tmp_path / "bad.v"])
    with pytest.raises(RuntimeError, match=r"(?s)yosys made no .*core.il: .*syntax error"):
        core_rtlil("picorv32")
