"""Runs whole test sets through a loadable with many keys, on all cores.

About 1,100 CIFAR-10 images a second and core, with the same bytes as the interpreter and the golden model.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from deeplock.pymodel.compiler import fast_interpreter
from deeplock.pymodel.lock.suites import byte_suite
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["accuracy", "golden_ofmaps", "ofmaps_of_keys"]

_PART = 500  # ifmaps of one task
_GOLDEN_PART = 20  # bounds the memory of the golden model's unfolded windows
_STREAMS = 1 << 26  # bytes of unlocked parameters held at a time


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parts(ifmaps: np.ndarray, size: int) -> list[np.ndarray]:
    return [ifmaps[start : start + size] for start in range(0, len(ifmaps), size)]


def _map(work: Callable[..., np.ndarray], tasks: Sequence[tuple[Any, ...]], workers: int) -> Iterator[np.ndarray]:
    """work(*task) of all tasks, in order. Threads, because NumPy computes outside the interpreter lock."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:  # one BLAS thread in each worker
        try:
            yield from pool.map(lambda task: work(*task), tasks)
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C too


def accuracy(ofmaps: np.ndarray, labels: np.ndarray) -> float:
    """Share (0..1) of ofmaps [n, ...] whose largest value (the first, if several are equal) is at the label."""
    return float((ofmaps.reshape(len(ofmaps), -1).argmax(axis=1) == labels).mean())


def golden_ofmaps(
    network: Network, ifmaps: np.ndarray, workers: int | None = None, progress: Progress = quiet
) -> np.ndarray:
    """The golden model's ofmaps int8 [n, height, width, channels] for int8 ifmaps."""
    last, found = network.layers[-1].name, []
    tasks = [(network, part) for part in _parts(ifmaps, _GOLDEN_PART)]
    for result in _map(lambda *task: golden.run(*task)[last], tasks, workers or _cores()):
        found.append(result)
        progress("ifmaps through the golden model", sum(map(len, found)), len(ifmaps))
    return np.concatenate(found)


def ofmaps_of_keys(
    loadable: Loadable,
    keys: np.ndarray,
    ifmaps: np.ndarray,
    config: Config,
    workers: int | None = None,
    progress: Progress = quiet,
) -> list[np.ndarray]:
    """The ofmaps int8 [n, height, width, channels] that the accelerator gives for int8 ifmaps with each key.

    keys     uint8 [k, 16 | 24 | 32]
    workers  threads; None: as many as there are cores
    progress  reports the ifmaps run; an ifmap counts once for each key
    """
    locked = np.frombuffer(loadable.parameters, np.uint8)
    parts = _parts(ifmaps, _PART)
    at_once = max(1, _STREAMS // len(locked))
    found, done = [], 0
    for start in range(0, len(keys), at_once):
        streams = byte_suite(loadable.suite).unlock_many(locked, keys[start : start + at_once])
        tasks = [(loadable, stream, part, config) for stream in streams for part in parts]
        results = []
        for result in _map(fast_interpreter.run, tasks, workers or _cores()):
            results.append(result)
            done += len(result)
            progress("ifmaps through the interpreter", done, len(keys) * len(ifmaps))
        found += [np.concatenate(results[at : at + len(parts)]) for at in range(0, len(results), len(parts))]
    return found
