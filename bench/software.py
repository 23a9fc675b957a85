"""The measurements of `deeplock bench software`: the baseline that a user without an accelerator has."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from deeplock.bench.kept import beside
from deeplock.bench.rtl import config_for
from deeplock.bench.workload import LOCKED, Workload
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.lock.keyfile import generate_key
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import macs
from deeplock.pymodel.progress import Progress
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import networks
from deeplock.sim.riscv.build import build_core, build_firmware, build_host
from deeplock.sim.riscv.cores import CORES
from deeplock.sim.riscv.memory import SUITES, Arena, Results, arena_of, inverted
from deeplock.sim.riscv.pytorch import Timing, time_float, time_int8
from deeplock.sim.riscv.run import run_on_core, run_on_host
from deeplock.sim.riscv.soc import SocResults, build_soc, build_soc_firmware, run_on_soc, soc_job

__all__ = ["ARRAY", "SOC", "cost", "kept", "measure", "usual_images"]

_MOST_MACS = {("picorv32", "ideal"): 3_000_000, ("picorv32", "slow"): 1_000_000}
"""Most MACs of a network on this core and memory: larger networks would take long and show nothing new."""

_OPEN_SEALED = ("vexriscv", "host")
"""Platforms that also open sealed suites: the custom instruction is deep-lock's, and PicoRV32 would show nothing new."""

SOC = "soc"
"""The platform of an accelerator, ARRAY, with VexRiscv as its host."""

ARRAY = (8, 8)

_SOC_SUITES = ("plain", LOCKED, "acorn")
"""No lock, the paper's suite, and one that seals."""

_SECOND_COUNTER = 64  # cycles by which a core's own counter may differ: the instructions between the two reads
_HOST_MACS = 100_000_000  # repeat until about this much work is done

Row = dict[str, Any]


def usual_images(network: str) -> int:
    """Number of test images that suffices for a network."""
    return 10 if network == "digits" else 1


@dataclass(frozen=True)
class _Job:
    """A network on one platform, all suites and variants."""

    workload: Workload
    platform: str
    memory: str

    def __str__(self) -> str:
        return f"{self.workload.network.name} on {self.platform}, {self.memory} memory"

    def row(self, suite: str, variant: str, param_bytes: int, unlocked: int | None, ofmaps: np.ndarray | None) -> Row:
        """What a row of any platform begins with. unlocked: bytes of it in memory; ofmaps: None if there are none."""
        return {
            "network": self.workload.network.name,
            "platform": self.platform,
            "suite": suite,
            "variant": variant,
            "memory": self.memory,
            "images": len(self.workload.ifmaps),
            "macs": sum(macs(self.workload.network).values()),
            "param_bytes": param_bytes,
            "unlocked_bytes_in_memory": unlocked,
            "outputs_equal_golden": ofmaps is not None and bool((ofmaps == _expected(self.workload)).all()),
        }


def _arenas(job: _Job, seed: int, flip: int | None) -> Iterator[tuple[str, str, Arena]]:
    """Each suite and variant with its arena, locked with a key made of the seed: the S-box's cache misses depend on it."""
    ways = [("plain", "plain"), ("deep-lock", "unlock-all"), ("deep-lock", "fused")]
    if job.platform in _OPEN_SEALED:
        ways += [(name, "unlock-all") for name in SUITES if suite(name).seals]
    for name, variant in ways:
        key = b"" if variant == "plain" else np.random.default_rng(seed).bytes(16)
        arena = arena_of(job.workload.network, job.workload.ifmaps, variant, key, seed, flip, name)
        yield name, variant, arena


def _row(job: _Job, name: str, variant: str, arena: Arena, results: Results) -> Row:
    unlocked = {"plain": None, "unlock-all": arena.parameter_bytes}.get(variant, arena.scratch_bytes)
    ofmaps = None if results.refused else results.ofmaps
    return job.row(name, variant, arena.parameter_bytes, unlocked, ofmaps)


def _expected(workload: Workload) -> np.ndarray:
    return golden.run(workload.network, workload.ifmaps)[workload.network.layers[-1].name]


def _check_counters(job: _Job, results: Results | SocResults) -> None:
    for first, second in zip(results.cycles, results.second_cycles, strict=True):
        if abs(first - second) > _SECOND_COUNTER:
            raise RuntimeError(f"{job}: {first} cycles by the memory-mapped counter, {second} by the core's")


def _on_core(job: _Job, seed: int, flip: int | None) -> list[Row]:
    rows, work = [], macs(job.workload.network)
    for name, variant, arena in _arenas(job, seed, flip):
        results = run_on_core(job.platform, arena, job.memory)
        _check_counters(job, results)
        row = _row(job, name, variant, arena, results)
        row["cycles"] = round(float(np.mean(results.cycles)), 2)
        row["unlock_cycles"] = results.unlocking if variant == "unlock-all" else None
        row["layers"] = [
            {"name": layer, "macs": work[layer], "cycles": cycles} for layer, cycles in results.layers.items()
        ]
        rows.append(row)
    return rows


def _on_soc(job: _Job, config: Config, seed: int, flip: int | None) -> list[Row]:
    rows = []
    for name in _SOC_SUITES:
        chosen = config.with_suite(name)
        plain = compile_network(job.workload.network, chosen, np.random.default_rng(seed))
        key = generate_key(chosen.key_sizes[0]) if chosen.key_sizes else b""
        loadable = plain.locked(name, key) if key else plain
        loadable = replace(loadable, parameters=bytes(inverted(loadable.parameters, flip)))
        results = run_on_soc(chosen, soc_job(loadable, job.workload.ifmaps, key), job.memory)
        _check_counters(job, results)
        variant, unlocked = ("stream", 0) if key else ("plain", None)
        row = job.row(name, variant, len(plain.parameters), unlocked, None if results.error else results.ofmaps)
        row["cycles"] = round(float(np.mean(results.cycles)), 2)
        row["accelerator_cycles"] = round(float(np.mean(results.accelerator_cycles)), 2)
        row["load_cycles"] = results.loading
        row |= {"unlock_cycles": None, "layers": []}
        rows.append(row)
    return rows


def _on_host(job: _Job, seed: int, flip: int | None) -> list[Row]:
    rows = []
    count = shutil.which("valgrind") is not None
    for name, variant, arena in _arenas(job, seed, flip):
        done = run_on_host(arena, max(3, _HOST_MACS // arena.work), count)
        row = _row(job, name, variant, arena, done.results)
        if done.instructions is not None:
            row["instructions"] = round(done.instructions / arena.images, 2)
        row["nanoseconds"] = round(done.nanoseconds / arena.images, 1)
        rows.append(row)
    return rows


def _pytorch_rows(name: str, platform: str, work: int, timing: Timing) -> list[Row]:
    equal = bool(np.array_equal(timing.outputs, timing.expected))
    shared = {"network": name, "platform": platform, "memory": "host", "images": 1, "macs": work}
    shared |= {"param_bytes": timing.parameter_bytes, "outputs_equal_golden": equal}
    return [
        {**shared, "suite": "plain", "variant": "plain", "nanoseconds": timing.plain},
        {**shared, "suite": "deep-lock", "variant": "unlock-all", "nanoseconds": timing.locked},
    ]


def _in_pytorch(workload: Workload) -> list[Row]:
    network, work = workload.network, sum(macs(workload.network).values())
    timing = time_int8(network, workload.ifmaps[:1], generate_key(16), _expected(workload)[:1])
    rows = _pytorch_rows(network.name, "pytorch-int8", work, timing)
    if network.name in networks.NAMES:
        rows += _pytorch_rows(network.name, "pytorch-float32", work, time_float(network.name, generate_key(16)))
    return rows


def _core_jobs(workloads: Sequence[Workload], platforms: Sequence[str], memories: Sequence[str]) -> list[_Job]:
    jobs = [
        _Job(workload, platform, memory)
        for workload in workloads
        for platform in platforms
        if platform in (*CORES, SOC)
        for memory in memories
    ]
    return [
        job
        for job in jobs
        if sum(macs(job.workload.network).values()) <= _MOST_MACS.get((job.platform, job.memory), 1 << 40)
    ]


def _build(cores: Sequence[str], config: Config | None, progress: Progress) -> None:
    """Build the programs, then the cores and, if a configuration is given, the SoC with each suite, one after the other."""
    builds: list[tuple[str, Callable[[], object]]] = []
    builds += [(f"program of {name}", partial(build_firmware, name)) for name in cores]
    socs = {name: config.with_suite(name) for name in _SOC_SUITES} if config else {}
    builds += [(f"program of {SOC}", build_soc_firmware)] if socs else []
    builds += [(f"simulation of {name}", partial(build_core, name)) for name in cores]
    builds += [(f"simulation of {SOC}, {name}", partial(build_soc, each)) for name, each in socs.items()]
    for count, (what, build) in enumerate(builds, 1):
        build()
        progress(f"{what} is built", count, len(builds))


def measure(
    workloads: Sequence[Workload],
    platforms: Sequence[str],
    memories: Sequence[str],
    seed: int,
    flip: int | None,
    progress: Progress,
) -> list[Row]:
    """A row for each network, platform, memory, suite and variant, in this order. Host and PyTorch run last, alone.

    Without valgrind on PATH the rows of the host have no "instructions".

    flip  parameter byte to invert in every job, as a test that the comparison notices
    """
    jobs = _core_jobs(workloads, platforms, memories)
    config = config_for(*ARRAY, [workload.network for workload in workloads])
    _build([name for name in platforms if name in CORES], config if SOC in platforms else None, progress)
    rows: dict[int, list[Row]] = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        running = {}
        for index, job in enumerate(jobs):
            on = partial(_on_soc, job, config) if job.platform == SOC else partial(_on_core, job)
            running[pool.submit(on, seed, flip)] = index
        for count, future in enumerate(as_completed(running), 1):
            rows[running[future]] = future.result()
            progress(str(jobs[running[future]]), count, len(jobs))
    found = [row for index in range(len(jobs)) for row in rows[index]]
    for workload in workloads:
        if "host" in platforms:
            build_host()
            progress(f"{workload.network.name} on this machine")
            found += _on_host(_Job(workload, "host", "host"), seed, flip)
        if "pytorch" in platforms:
            progress(f"{workload.network.name} in PyTorch")
            found += _in_pytorch(workload)
    order = [workload.network.name for workload in workloads]
    found.sort(key=lambda row: order.index(row["network"]))
    return _with_ratios(found)


def kept(there: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Rows that were measured before, but for the networks, platforms and memories measured now, and the new ones, networks
    together in the order of their first rows, cores before host and PyTorch."""
    every = beside(there, rows, ("network", "platform", "memory"))
    order = list(dict.fromkeys(row["network"] for row in every))
    return sorted(every, key=lambda row: (order.index(row["network"]), "cycles" not in row))


def cost(row: Row) -> float:
    """Cycles, else instructions, else nanoseconds of an inference."""
    return next(row[name] for name in ("cycles", "instructions", "nanoseconds") if row.get(name) is not None)


def _with_ratios(rows: list[Row]) -> list[Row]:
    plain = {(row["network"], row["platform"], row["memory"]): row for row in rows if row["variant"] == "plain"}
    for row in rows:
        base = plain[row["network"], row["platform"], row["memory"]]
        row["ratio"] = round(cost(row) / cost(base), 4)
        if "nanoseconds" in row:
            row["time_ratio"] = round(row["nanoseconds"] / base["nanoseconds"], 4)
        if "cycles" in row:
            row["cycles_per_mac"] = round(row["cycles"] / row["macs"], 4)
            spent = row["unlock_cycles"] if row["variant"] == "unlock-all" else row["cycles"] - base["cycles"]
            row["unlock_cycles_per_byte"] = None if row is base else round(spent / row["param_bytes"], 4)
    return rows
