"""The measurements of `deeplock bench rtl`."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from math import prod
from multiprocessing import get_context
from typing import Any

import numpy as np

from deeplock.bench.workload import Workload
from deeplock.pymodel.compiler.compiler import compile_network, outline
from deeplock.pymodel.compiler.smallest import needed_options
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import generate_key
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.progress import Progress
from deeplock.pymodel.spec.config import MOST, Config
from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.sim.build import build
from deeplock.sim.rtl import RtlRun, run_on_rtl

__all__ = ["config_for", "measure", "usual_images"]

_PLAIN = "plain"


def usual_images(network: str) -> int:
    """Number of test images that suffices for a network."""
    return 100 if network == "digits" else 20


def config_for(rows: int, cols: int, networks: Sequence[Network], batch: int = 1) -> Config:
    """An accelerator with default memories, but with an activation memory that holds the tensors of all these networks whole,
    and if they need it a larger ifmap buffer, options, and the largest program memory, which batches always have."""
    ifmap = max(prod(network.input_shape) for network in networks)
    config = Config(
        rows=rows,
        cols=cols,
        bytes_per_beat=min(cols, 16),
        program_words=Config.program_words if batch == 1 else MOST["program_words"],
        ifmap_bytes=max(Config.ifmap_bytes, 1 << (ifmap - 1).bit_length()),
        **needed_options(networks),
    )
    while True:
        try:
            for network in networks:
                outline(network, config, batch, whole=True)
            return config
        except DeeplockError:
            if config.activation_words < MOST["activation_words"]:
                config = replace(config, activation_words=2 * config.activation_words)
            elif config.program_words < MOST["program_words"]:
                larger = MOST["program_words"]
                config = replace(config, activation_words=Config.activation_words, program_words=larger)
            else:
                raise


def _run(workload: Workload, config: Config, batch: int, seed: int) -> tuple[RtlRun, int]:
    """Compile, lock with a random key that is not kept, and run; return the run and the lower bound."""
    loadable = compile_network(workload.network, config, np.random.default_rng(seed), batch)
    key = generate_key(config.key_sizes[0]) if config.key_sizes else b""
    if key:
        loadable = loadable.locked(config.suite, key)
    return run_on_rtl(loadable, config, key, workload.ifmaps, "native"), loadable.interface.lower_bound


def measure(
    workloads: Sequence[Workload],
    arrays: Sequence[tuple[int, int]],
    suites: Sequence[str],
    batch: int,
    seed: int,
    jobs: int | None,
    progress: Progress,
) -> list[dict[str, Any]]:
    """A row for each network, array and suite, networks first; `jobs` builds and runs at a time."""
    progress("compiling")
    networks = [workload.network for workload in workloads]
    configs = [config_for(rows, cols, networks, batch) for rows, cols in arrays]
    jobs = jobs or len(os.sched_getaffinity(0))
    runs: dict[tuple[int, int, str], Future] = {}
    what: dict[Future, str] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            for index, config in enumerate(configs):
                each_suite = [config.with_suite(suite) for suite in (_PLAIN, *suites)]
                for each in each_suite:
                    what[pool.submit(build, each, "native")] = f"built {each.rows}x{each.cols} {each.suite}"
                for number, workload in enumerate(workloads):
                    for each in each_suite:
                        future = pool.submit(_run, workload, each, batch, seed)
                        runs[number, index, each.suite] = future
                        what[future] = f"{workload.network.name} ran on {each.rows}x{each.cols} {each.suite}"
            for count, future in enumerate(as_completed(what), 1):
                future.result()
                progress(what[future], count, len(what))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    rows = []
    for number, workload in enumerate(workloads):
        for index, config in enumerate(configs):
            plain, lower_bound = runs[number, index, _PLAIN].result()
            for suite in suites:
                locked, _ = runs[number, index, suite].result()
                rows.append(_row(workload, config.with_suite(suite), batch, plain, locked, lower_bound))
    return rows


def _row(
    workload: Workload, config: Config, batch: int, plain: RtlRun, locked: RtlRun, lower_bound: int
) -> dict[str, Any]:
    return {
        "network": workload.network.name,
        "suite": config.suite,
        "rows": config.rows,
        "cols": config.cols,
        "bytes_per_beat": config.bytes_per_beat,
        "activation_words": config.activation_words,
        "batch": batch,
        "images": len(workload.ifmaps),
        "mismatches": plain.mismatches + locked.mismatches,
        "cycles_plain": plain.cycles_per_image,
        "cycles_locked": locked.cycles_per_image,
        "lower_bound": lower_bound,
        "ratio": round(locked.cycles_per_image / lower_bound, 4),
        "key_starved_cycles": locked.per_image("KEY_STARVED"),
        "param_starved_cycles": locked.per_image("PARAM_STARVED"),
        "counters": {name: locked.per_image(name) for name, _ in COUNTERS},
        "simulated_cycles_per_second": round(locked.counters["CYCLES"] / max(locked.seconds, 0.01)),
    }
