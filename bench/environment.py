"""The machine and the package versions of a measurement."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

__all__ = ["machine", "versions"]


def versions(*names: str) -> dict[str, str]:
    """Versions of the installed packages that the figures depend on."""
    return {name: version(name) for name in names}


def machine() -> str:
    """The processor and its cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
