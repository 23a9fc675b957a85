"""The SoC: VexRiscv as the host of the exported accelerator (accelerator.v), by the exported C driver (soc.c)."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.register_files import c_header
from deeplock.sim.build import build_program
from deeplock.sim.export import core as export
from deeplock.sim.riscv.build import FLAT, HARNESS, HERE, firmware, kept
from deeplock.sim.riscv.cores import CORES, core_verilog, packaged_verilog
from deeplock.sim.riscv.memory import ARENA, Space
from deeplock.sim.riscv.run import simulated
from deeplock.sim.sources import source_files
from deeplock.sim.toolchain import check_simulator, tool_versions

__all__ = ["SocJob", "SocResults", "build_soc", "build_soc_firmware", "run_on_soc", "soc_job"]

_CORE = CORES["vexriscv"]
_EXPORT = Path(export.__file__).parent
_JOB = (
    "images", "key_bytes", "stream", "head_bytes", "stream_bytes", "ifmaps", "ifmap_bytes", "output", "ofmaps", "ofmap_bytes",
    "results",
)  # fmt: skip
_KEY = 32


@dataclass(frozen=True, eq=False)
class SocResults:
    """Results of a job, read from the arena.

    error               what the driver returned last: 0, an error code of the accelerator, or -1 for a timeout
    loading             cycles that key and program took, once
    cycles              that the driver took for each inference, by the memory-mapped counter
    second_cycles       the same by the core's mcycle
    accelerator_cycles  the same by the accelerator's counter: from START to the end
    ofmaps              int8 [n, height, width, channels]; zeros where there was an error
    """

    error: int
    loading: int
    cycles: tuple[int, ...]
    second_cycles: tuple[int, ...]
    accelerator_cycles: tuple[int, ...]
    ofmaps: np.ndarray


@dataclass(frozen=True, eq=False)
class SocJob:
    """A job: its bytes, and what its results mean.

    work  bytes that move and least cycles of the array, of all inferences
    """

    data: bytes
    work: int
    images: int
    loadable: Loadable
    ofmaps: int
    results: int

    def read(self, data: bytes) -> SocResults:
        """The results in the arena's bytes after the run."""
        size = int(np.prod(self.loadable.interface.output_shape))
        packets = [data[at : at + size] for at in range(self.ofmaps, self.ofmaps + self.images * size, size)]
        loading, error, *runs = struct.unpack_from(f"<Ii{3 * self.images}I", data, self.results)
        ofmaps = np.concatenate([self.loadable.unpack_ofmaps(packet) for packet in packets])
        cycles, second, accelerator = (tuple(runs[place::3]) for place in range(3))
        return SocResults(error, loading, cycles, second, accelerator, ofmaps)


def soc_job(loadable: Loadable, ifmaps: np.ndarray, key: bytes) -> SocJob:
    """The job of running a loadable, locked with `key` or not, on int8 ifmaps [n, height, width, channels], one by one."""
    packets = [loadable.pack_ifmap(ifmap) for ifmap in ifmaps]
    ofmap_bytes = int(np.prod(loadable.interface.output_shape))
    space = Space(4 * len(_JOB) + _KEY)
    job = {
        "images": len(ifmaps),
        "key_bytes": len(key),
        "stream": space.take(len(loadable.stream)),
        "head_bytes": len(loadable.head),
        "stream_bytes": len(loadable.stream),
        "ifmaps": space.take(sum(map(len, packets))),
        "ifmap_bytes": len(packets[0]),
        "output": space.take(ofmap_bytes),
        "ofmaps": space.take(len(ifmaps) * ofmap_bytes),
        "ofmap_bytes": ofmap_bytes,
        "results": space.take(4 * (2 + 3 * len(ifmaps))),
    }
    data = bytearray(space.take(0))
    struct.pack_into(f"<{len(_JOB)}i{_KEY}s", data, 0, *(job[name] for name in _JOB), key)
    data[job["stream"] : job["stream"] + len(loadable.stream)] = loadable.stream
    data[job["ifmaps"] : job["ifmaps"] + sum(map(len, packets))] = b"".join(packets)
    work = len(ifmaps) * (loadable.interface.lower_bound + len(loadable.stream))
    return SocJob(bytes(data), work, len(ifmaps), loadable, job["ofmaps"], job["results"])


def _layout() -> str:
    """layout.h for soc.c and firmware.c."""
    fields = "".join(f"    int32_t {name};\n" for name in _JOB)
    job = f"struct job {{\n{fields}    uint32_t key[{_KEY // 4}];\n}};\n"
    return f"// made by sim/riscv/soc.py\n#pragma once\n#include <stdint.h>\n#define ARENA {ARENA:#x}\n{job}"


def build_soc_firmware() -> bytes:
    """The program: soc.c and deeplock.c. DeeplockError without a compiler for RISC-V."""
    headers = {"layout.h": _layout(), "deeplock_regs.h": c_header()}
    return firmware("soc", _CORE, headers, [HERE / "soc.c", _EXPORT / "deeplock.c"], [_EXPORT])


def build_soc(config: Config) -> Path:
    """The program that simulates the SoC, see harness.cpp. DeeplockError if something that it needs is missing."""
    check_simulator("native")

    def make(folder: Path) -> None:
        exported = folder / "deeplock.v"
        exported.write_text(export.core_verilog(config, "deeplock", "deeplock bench software"))
        sources = [HARNESS, *core_verilog(_CORE, folder), HERE / "accelerator.v", exported]
        beats = {"LOADABLE": config.bytes_per_beat, "IFMAP": config.rows, "OFMAP": config.lanes}
        options = [*FLAT, "-DACCELERATOR", *(f"-G{name}={size}" for name, size in beats.items())]
        build_program(folder, "soc", sources, options)

    here = [HARNESS, *(HERE / name for name in ("cores.py", "accelerator.v", _CORE.top, "soc.py"))]
    files = [packaged_verilog(_CORE), *here, *source_files(_EXPORT / "core.py")]
    return kept("soc", [_CORE, config, tool_versions("native")], files, make) / "soc"


def run_on_soc(config: Config, job: SocJob, memory: str = "ideal") -> SocResults:
    """Simulate a job from reset, caches empty.

    Raises DeeplockError if a program is missing, SimulationError if the core does not finish.
    """
    return job.read(simulated("soc", build_soc(config), build_soc_firmware(), job.data, job.work, memory))
