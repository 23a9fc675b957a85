"""The program of digits.c for a SoC's ROM, in place of LiteX's BIOS: that needs a GCC for RISC-V, this the Clang of ziglang."""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from litex.soc.integration.common import get_mem_data

__all__ = ["exported_folder", "put_into_rom", "run"]

HERE = Path(__file__).resolve().parent
SOFTWARE = Path(importlib.util.find_spec("litex").submodule_search_locations[0]) / "soc" / "software"
CFLAGS = """
-target riscv32-freestanding-none -mcpu=generic_rv32+m+zicsr -mno-relax -fno-pic -ffreestanding -nostdlib
-fno-builtin -fno-sanitize=all -Os -Wall -Wextra -Werror -Wno-unused-function
"""


def exported_folder(text: str) -> Path:
    """A folder that `deeplock verilog` wrote with its testbench, for argparse."""
    folder = Path(text).resolve()
    for name in ("deeplock.v", "tb/loadable.hex"):
        if not (folder / name).is_file():
            raise argparse.ArgumentTypeError(f"{folder / name} is missing: give a folder that `deeplock verilog` wrote")
    return folder


def run(command: list, folder: Path) -> str:
    """Run a program in a folder. SystemExit, with what it printed, if it fails."""
    done = subprocess.run([str(word) for word in command], cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def _hex_bytes(path: Path) -> bytes:
    """A hex file of the testbench: beats, the first byte on the right."""
    beats = [line for line in path.read_text().splitlines() if line and not line.startswith("//")]
    return b"".join(bytes.fromhex(beat)[::-1] for beat in beats)


def _data_header(bench: Path) -> str:
    """The hex files of the testbench as C arrays."""
    lines = ["#include <stdint.h>"]
    for name in ("loadable", "ifmap", "ofmap", "key"):
        data = _hex_bytes(bench / f"{name}.hex")
        lines.append(f"#define {name.upper()}_BYTES {len(data)}")
        if data:
            values = ", ".join(map(str, data))
            lines.append(f"static const uint8_t {name.upper()}[] __attribute__((aligned(4))) = {{{values}}};")
    return "\n".join(lines) + "\n"


def _compile(soc, exported: Path) -> Path:
    """The program's binary, for the headers that LiteX's Builder wrote."""
    build = Path(soc.platform.output_dir) / "software"
    (build / "data.h").write_text(_data_header(exported / "tb"))
    cpu = Path(sys.modules[type(soc.cpu).__module__].__file__).parent
    sources = [cpu / "crt0.S", HERE / "digits.c", HERE / "deeplock_litex.c", exported / "deeplock.c"]
    include = [word for folder in (build, build / "include", HERE, exported) for word in ("-I", folder)]
    include += [word for folder in (SOFTWARE / "include", cpu) for word in ("-isystem", folder)]
    zig, elf, binary = [sys.executable, "-m", "ziglang"], build / "digits.elf", build / "digits.bin"
    command = [*zig, "cc", *CFLAGS.split(), *include, "-T", HERE / "digits.ld", "-o", elf, *sources]
    run(command, build / "include")  # there the linker finds the SoC's regions
    run([*zig, "objcopy", "-O", "binary", elf, binary], build)
    return binary


def put_into_rom(soc, exported: Path) -> None:
    """Have LiteX's Builder compile the program and put it into the ROM; `exported` is what `deeplock verilog` wrote."""

    def init_mems(**_) -> None:
        soc.init_rom("rom", contents=get_mem_data(str(_compile(soc, exported)), data_width=32, endianness="little"))

    soc.init_mems = init_mems
