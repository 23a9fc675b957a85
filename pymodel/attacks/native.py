"""Compiles a C++ file of this folder for this machine's processor, once per process."""

import ctypes
import subprocess
from functools import cache
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.scratch import scratch

__all__ = ["compile_library"]

_FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")


@cache
def compile_library(name: str, *definitions: str) -> ctypes.CDLL:
    """The shared library of NAME.cpp, with these macros defined; takes a second or two. Its file is deleted at once."""
    source = Path(__file__).with_name(f"{name}.cpp")
    with scratch() as folder:
        library = folder / f"{name}.so"
        command = ["g++", *_FLAGS, *(f"-D{macro}" for macro in definitions), str(source), "-o", str(library)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise DeeplockError("g++ is missing: install g++ with the system's package manager") from None
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return ctypes.CDLL(str(library))
