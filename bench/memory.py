"""The measurements of `deeplock bench memory`: networks whose loadables, ifmaps and ofmaps lie in a memory behind AXI4."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplock.bench.rtl import config_for
from deeplock.bench.workload import LOCKED, Workload
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.lock.keyfile import generate_key
from deeplock.pymodel.progress import Progress
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.sim.memory.design import MemoryDesign
from deeplock.sim.memory.host import run_from_memory

__all__ = ["measure"]


def measure(
    workloads: Sequence[Workload],
    array: tuple[int, int],
    latencies: Sequence[int],
    outstanding: Sequence[int],
    seed: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """A row for each network, number of outstanding bursts and latency in cycles: locked with the paper's suite and a random
    key that is not kept; cycles are per image, images back to back."""
    config = config_for(*array, [workload.network for workload in workloads]).with_suite(LOCKED)
    total, rows = len(workloads) * len(outstanding) * len(latencies), []
    for workload in workloads:
        key = generate_key(config.key_sizes[0])
        loadable = compile_network(workload.network, config, np.random.default_rng(seed)).locked(LOCKED, key)
        expected = interpreter.run(loadable, key, workload.ifmaps, config)
        for bursts in outstanding:
            design = MemoryDesign(config, MemoryOptions(outstanding=bursts))
            for latency in latencies:
                run = run_from_memory(loadable, design, key, list(workload.ifmaps), latency, progress=progress)
                images = len(workload.ifmaps)
                rows.append(
                    {
                        "network": workload.network.name,
                        "suite": config.suite,
                        "rows": config.rows,
                        "cols": config.cols,
                        "bytes_per_beat": config.bytes_per_beat,
                        "burst": design.options.burst,
                        "outstanding": bursts,
                        "latency": latency,
                        "images": images,
                        "mismatches": int((np.stack(run.ofmaps) != expected).sum()),
                        "cycles": round(run.counters["CYCLES"] / images, 2),
                        "param_starved_cycles": round(run.counters["PARAM_STARVED"] / images, 2),
                    }
                )
                progress(f"{workload.network.name}, latency {latency}, {bursts} outstanding", len(rows), total)
    return rows
