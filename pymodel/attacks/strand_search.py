"""The search over one strand of the AES-128 key schedule, in C++: strand_search.cpp says when a state is dropped."""

import ctypes
import time
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.native import compile_library
from deeplock.pymodel.attacks.strands import constants
from deeplock.pymodel.lock.sbox import SBOX

__all__ = ["UNIT", "Found", "merge", "search"]

UNIT = 4
"""Scores count in 1/UNIT bits."""


@dataclass(frozen=True, eq=False)
class Found:
    """The best states of a search.

    states      uint8 [n, 4], best first
    scores      int64 [n], in 1/UNIT bits, less the last threshold
    candidates  number of states that were searched
    survivors   number of these that were never below the threshold
    seconds     it took, on one core
    """

    states: np.ndarray
    scores: np.ndarray
    candidates: int
    survivors: int
    seconds: float


def merge(parts: list[Found], keep: int) -> Found:
    """The best of several searches of one strand."""
    scores = np.concatenate([part.scores for part in parts])
    best = np.argsort(-scores, kind="stable")[:keep]
    return Found(
        np.concatenate([part.states for part in parts])[best],
        scores[best],
        *(sum(getattr(part, name) for part in parts) for name in ("candidates", "survivors", "seconds")),
    )


def search(
    tables: np.ndarray, strand: int, start: int, keep: int, first: range = range(256), portable: bool = False
) -> Found:
    """The `keep` states with the highest sums of tables[i, y(start + i)] whose running sums are never negative.

    tables    int8 [steps, 256], in 1/UNIT bits: score of each value of the strand's byte, less the threshold's growth
    start     block that the first table belongs to
    first     values of the state's first byte to search, 2**32 / 256 states each
    portable  do not use AVX-512; the result is the same
    """
    library = compile_library("strand_search", *(["PORTABLE"] if portable else []))
    tables = np.ascontiguousarray(tables, np.int8)
    steps = len(tables)
    fed, sbox = constants(strand, start, steps), np.ascontiguousarray(SBOX)
    states, scores, survivors = np.empty(keep, np.uint32), np.empty(keep, np.int32), ctypes.c_uint64()
    begin = time.monotonic()
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (tables, fed, sbox, states, scores)]
    count = library.search(*pointers[:3], steps, first.start, first.stop, keep, *pointers[3:], ctypes.byref(survivors))
    return Found(
        states[:count].astype(">u4").view(np.uint8).reshape(count, 4),
        scores[:count].astype(np.int64),
        len(first) << 24,
        survivors.value,
        time.monotonic() - begin,
    )
