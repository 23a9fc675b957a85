"""Builds the software baseline: the cores under Verilator, and the C programs for them and for the host; each once."""

import importlib.util
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from deeplock.pymodel.cache import cache_root, digest, made
from deeplock.pymodel.errors import DeeplockError
from deeplock.sim.build import build_program
from deeplock.sim.riscv.cores import CORES, Core, core_verilog, packaged_verilog
from deeplock.sim.riscv.memory import layout_header, tables_header
from deeplock.sim.sources import source_files
from deeplock.sim.toolchain import check_simulator, environment, tool_versions

__all__ = [
    "FLAT", "HARNESS", "HERE", "START", "build_core", "build_firmware", "build_host", "check_compiler", "firmware", "kept",
]  # fmt: skip

HERE = Path(__file__).parent
HARNESS = HERE / "harness.cpp"
FLAT = ["--flatten", "-Wno-lint", "-Wno-style"]
"""Verilator's options for what HARNESS runs: it expects the memory in the top module."""

_SOURCES = [HERE / name for name in ("engine.c", "ascon.c", "acorn.c")]
_C_FLAGS = ["-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror"]


def kept(name: str, facts: Sequence[object], files: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, once for these facts and files."""

    def make_in(folder: Path) -> None:
        folder.mkdir()
        make(folder)

    identity = digest(name, *facts, files=[*files, Path(__file__), HERE.parent / "build.py"])
    return made(cache_root() / "sim" / f"riscv-{name}-{identity}", make_in)


def _call(command: Sequence[str | Path], what: str) -> None:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stdout + result.stderr).splitlines()
        raise RuntimeError(f"{what}: {command[0]} failed:\n" + "\n".join(lines[-15:]))


def _c_files() -> list[Path]:
    return sorted(path for path in HERE.iterdir() if path.suffix in (".c", ".h", ".ld"))


def check_compiler() -> None:
    """Raise DeeplockError if there is no compiler for RISC-V."""
    if importlib.util.find_spec("ziglang") is None:
        raise DeeplockError("no compiler for RISC-V: install the Python package ziglang")


def build_core(name: str) -> Path:
    """The program that simulates a core, see harness.cpp. DeeplockError if something that it needs is missing."""
    check_simulator("native")
    core = CORES[name]
    options = [*FLAT, *(["-DCFU"] if core.cfu else [])]

    def make(folder: Path) -> None:
        with environment():  # Yosys writes the custom function unit's Verilog
            sources = core_verilog(core, folder)
        build_program(folder, "soc", [HARNESS, *sources], options)

    files = [packaged_verilog(core), HARNESS, *(HERE / name for name in ("cores.py", core.top))]
    files += source_files(HERE / "cfu.py") if core.cfu else []
    return kept(name, [core, tool_versions("native")], files, make) / "soc"


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


def firmware(
    name: str, core: Core, headers: Mapping[str, str], sources: Sequence[Path], include: Sequence[Path]
) -> bytes:
    """A program for a core, from `START` on: firmware.c and `sources`, with these headers, by name, and folders of others."""
    check_compiler()

    def make(folder: Path) -> None:
        for header, text in headers.items():
            (folder / header).write_text(text)
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
        flags += [f"-I{path}" for path in (folder, HERE, *include)]
        zig = [sys.executable, "-m", "ziglang", "cc", *target, *_C_FLAGS, *flags]
        every = [HERE / "firmware.c", *sources]
        _call([*zig, "-T", HERE / "link.ld", "-o", folder / "program.elf", *every], f"program for {name}")

    files = [*_c_files(), *(path for path in sources if path.parent != HERE)]
    files += [header for path in include for header in sorted(path.glob("*.h"))]
    folder = kept(f"{name}-program", [version("ziglang"), core, headers], files, make)
    return _segments((folder / "program.elf").read_bytes())


def build_firmware(name: str) -> bytes:
    """The software's program for a core, from `START` on."""
    return firmware(name, CORES[name], {"layout.h": layout_header()}, _SOURCES, ())


def build_host() -> Path:
    """The program for this machine: see host.c. DeeplockError without gcc."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise DeeplockError("no gcc on PATH: install gcc with the system's package manager")

    def make(folder: Path) -> None:
        (folder / "layout.h").write_text(layout_header())
        (folder / "tables.h").write_text(tables_header())
        sources = [HERE / "host.c", *_SOURCES]
        _call([gcc, *_C_FLAGS, "-I", folder, "-I", HERE, "-o", folder / "host", *sources], "program for this machine")

    path = Path(gcc).resolve()
    facts = [path, path.stat().st_mtime_ns, layout_header(), tables_header()]
    return kept("host", facts, _c_files(), make) / "host"
