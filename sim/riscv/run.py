"""Runs a job of the software baseline: on a simulated core, or on this machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.scratch import scratch
from deeplock.sim.results import SimulationError
from deeplock.sim.riscv.build import START, build_core, build_firmware, build_host
from deeplock.sim.riscv.cores import CORES
from deeplock.sim.riscv.memory import ARENA, Arena, Results, low_memory

__all__ = ["LATENCIES", "HostRun", "run_on_core", "run_on_host", "simulated"]

LATENCIES = {"ideal": 0, "slow": 20}
"""Memories by name: cycles until a read's first word; then a word a cycle. Writes are posted."""

_SLOWEST = 2000  # cycles per multiplication or parameter byte, far more than any core takes
_SPARE = 1_000_000


def simulated(name: str, program: Path, firmware: bytes, arena: bytes, work: int, memory: str) -> bytes:
    """The arena's bytes after a program of harness.cpp has run this firmware on it, from reset, caches empty.

    work  about how many multiplications and bytes the firmware handles: it may take a multiple of it in cycles

    Raises SimulationError if the core does not finish.
    """
    with scratch() as folder:
        path = folder / "memory"
        path.write_bytes(low_memory(firmware, START) + arena)
        command = [program, path, str(LATENCIES[memory]), str(min(_SLOWEST * work + _SPARE, 1 << 32))]
        result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            raise SimulationError(f"{name}: {result.stderr.strip() or f'exit code {result.returncode}'}")
        return path.read_bytes()[ARENA:]


def run_on_core(core: str, arena: Arena, memory: str = "ideal") -> Results:
    """Simulate a job on a core (see CORES) from reset, caches empty.

    Raises DeeplockError if a program is missing, SimulationError if the core does not finish.
    """
    if core not in CORES:
        raise ValueError(f"core must be one of {', '.join(CORES)}, not {core}")
    return arena.read(simulated(core, build_core(core), build_firmware(core), arena.data, arena.work, memory))


@dataclass(frozen=True)
class HostRun:
    """results: with 0 cycles; nanoseconds: of the fastest run of the job; instructions: of one run, None if not counted."""

    results: Results
    nanoseconds: float
    instructions: int | None


def run_on_host(arena: Arena, repeats: int = 1, count: bool = False) -> HostRun:
    """Run a job on this machine, `repeats` times, and once more under callgrind if `count`, to count instructions."""
    program = build_host()
    with scratch() as folder:
        path = folder / "arena"
        path.write_bytes(arena.data)
        result = subprocess.run([program, path, str(repeats)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise SimulationError(f"host: {result.stderr.strip() or f'exit code {result.returncode}'}")
        results = arena.read(path.read_bytes())
        instructions = _instructions(program, path) if count else None
    return HostRun(results, float(result.stdout), instructions)


def _instructions(program: Path, path: Path) -> int:
    """Instructions inside infer(), by callgrind."""
    out = path.with_name("callgrind")
    tool = ["valgrind", "--tool=callgrind", "--toggle-collect=infer", f"--callgrind-out-file={out}"]
    result = subprocess.run([*tool, program, path], capture_output=True, text=True, check=False)
    totals = [line.split()[1] for line in out.read_text().splitlines() if line.startswith(("summary:", "totals:"))]
    if result.returncode or not totals:
        raise DeeplockError(f"valgrind: {result.stderr.strip().splitlines()[-1:]}")
    return int(totals[0])
