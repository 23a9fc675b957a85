"""Builds the software baseline: the cores under Verilator, and the C programs for them and for the host; each once."""

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from deeplock.pymodel.cache import cache_root, digest, made
from deeplock.pymodel.errors import DeeplockError
from deeplock.sim.riscv.cores import CORES, core_verilog, packaged_verilog
from deeplock.sim.riscv.memory import layout_header, tables_header
from deeplock.sim.sources import source_files
from deeplock.sim.toolchain import check_simulator, environment, tool_versions

__all__ = ["build_core", "build_firmware", "build_host", "check_compiler"]

_HERE = Path(__file__).parent

_SOURCES = [_HERE / name for name in ("engine.c", "ascon.c", "acorn.c")]
_C_FLAGS = ["-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror"]


def _kept(name: str, facts: Sequence[object], files: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, once for these facts and files."""

    def make_in(folder: Path) -> None:
        folder.mkdir()
        make(folder)

    return made(cache_root() / "sim" / f"riscv-{name}-{digest(name, *facts, files=[*files, Path(__file__)])}", make_in)


def _call(command: Sequence[str | Path], what: str) -> None:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stdout + result.stderr).splitlines()
        raise RuntimeError(f"{what}: {command[0]} failed:\n" + "\n".join(lines[-15:]))


def _c_files() -> list[Path]:
    return sorted(path for path in _HERE.iterdir() if path.suffix in (".c", ".h", ".ld"))


def check_compiler() -> None:
    """Raise DeeplockError if there is no compiler for RISC-V."""
    if importlib.util.find_spec("ziglang") is None:
        raise DeeplockError("no compiler for RISC-V: install the Python package ziglang")


def build_core(name: str) -> Path:
    """The program that simulates a core, see harness.cpp. DeeplockError if something that it needs is missing."""
    check_simulator("native")
    core = CORES[name]
    source = packaged_verilog(core)

    def make(folder: Path) -> None:
        with environment(MAKEFLAGS="OPT_FAST=-O2 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include"):
            options = [
                "-O3",
                "--flatten",
                "--x-assign",
                "fast",
                "--x-initial",
                "fast",
                "-Wno-fatal",
                "-Wno-lint",
                "-Wno-style",
            ]
            options += ["-DCFU"] if core.cfu else []
            names = ["--top-module", "soc", "--prefix", "Vsoc", "--Mdir", folder, "-o", "soc"]
            sources = [_HERE / "harness.cpp", *core_verilog(core, folder)]
            _call(["verilator", "--cc", "--exe", *options, *names, *sources], f"simulation of {name}")
            _call(["make", "-C", folder, "-f", "Vsoc.mk", "-j", str(os.cpu_count())], f"simulation of {name}")
        for path in folder.iterdir():
            if path.name != "soc":
                path.unlink()

    files = [source, *(_HERE / name for name in ("harness.cpp", "cores.py", core.top))]
    files += source_files(_HERE / "cfu.py") if core.cfu else []
    return _kept(name, [core, tool_versions("native")], files, make) / "soc"


def _segments(elf: bytes) -> bytes:
    """The bytes that an ELF file for RV32 loads, from `START` on."""
    (table,) = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    image = bytearray()
    for at in range(table, table + size * count, size):
        kind, offset, address, _, stored, whole = struct.unpack_from("<6I", elf, at)
        if kind == 1 and whole and address >= START:
            image.extend(bytes(max(0, address - START + whole - len(image))))
            image[address - START : address - START + stored] = elf[offset : offset + stored]
    return bytes(image)


START = 0x400
"""Where the program begins in a core's memory: link.ld."""


def build_firmware(name: str) -> bytes:
    """The program for a core, from `START` on."""
    check_compiler()
    core = CORES[name]

    def make(folder: Path) -> None:
        (folder / "layout.h").write_text(layout_header())
        target = ["-target", "riscv32-freestanding-none", f"-mcpu={core.cpu}"]
        flags = [
            "-ffreestanding",
            "-fno-builtin",
            "-nostdlib",
            "-fno-sanitize=all",
            "-fno-pic",
            "-mno-relax",
            "-fomit-frame-pointer",
        ]
        flags += [f'-DCYCLE_CSR="{core.csr}"', *(["-DCFU"] if core.cfu else [])]
        flags += ["-DHAS_TRAPS"] if core.traps else ["-mllvm", "-enable-misched=false"]
        zig = [sys.executable, "-m", "ziglang", "cc", *target, *_C_FLAGS, *flags, "-I", folder, "-I", _HERE]
        sources = [_HERE / "firmware.c", *_SOURCES]
        _call([*zig, "-T", _HERE / "link.ld", "-o", folder / "program.elf", *sources], f"program for {name}")

    folder = _kept(f"{name}-program", [version("ziglang"), core, layout_header()], _c_files(), make)
    return _segments((folder / "program.elf").read_bytes())


def build_host() -> Path:
    """The program for this machine: see host.c. DeeplockError without gcc."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise DeeplockError("no gcc on PATH: install gcc with the system's package manager")

    def make(folder: Path) -> None:
        (folder / "layout.h").write_text(layout_header())
        (folder / "tables.h").write_text(tables_header())
        sources = [_HERE / "host.c", *_SOURCES]
        _call([gcc, *_C_FLAGS, "-I", folder, "-I", _HERE, "-o", folder / "host", *sources], "program for this machine")

    path = Path(gcc).resolve()
    facts = [path, path.stat().st_mtime_ns, layout_header(), tables_header()]
    return _kept("host", facts, _c_files(), make) / "host"
