"""Ciphertext only: the AES-128 master key from locked parameters and an idea of what parameters look like.

Every 16th byte of the key stream belongs to one of four strands of 32 bits (strands.py). For each strand, all 2^32 states are
tried. A state gives key bytes, and these give plain bytes, which look like parameters if the state is right and uniform if it
is wrong. The likeliest states of the strands are then joined (key_ranking.py), and the schedule is run backwards to the key.
int8 weights of a dense layer give about a bit a byte: 64 blocks (1 KB) give a strand some 60 bits to single out one of 2^32
states.

Longer keys: AES-256's strands have 64 bits and AES-192's 96, beyond this search.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.byte_models import information, like, model_of, other_networks, weights_of
from deeplock.pymodel.attacks.key_ranking import best_block
from deeplock.pymodel.attacks.schedule_inversion import invert_schedule
from deeplock.pymodel.attacks.strand_search import UNIT, Found, merge, search
from deeplock.pymodel.attacks.strands import STRANDS, last_word_bytes
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, lock_checkpoint
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.suites.deep_lock import SUITE, DeepLock
from deeplock.pymodel.progress import Progress, quiet, within

__all__ = [
    "FULL",
    "NEEDS",
    "QUICK",
    "SCHEMES",
    "Budget",
    "NoLikelyState",
    "Recovered",
    "locked_stream",
    "recover_key",
    "run",
]

NEEDS = "a locked file (about 1 KB of int8 weights, or of float32), and networks of the same kind; minutes of one core"
SCHEMES = ("deep-lock",)

_SLACK = 0.6
"""Share of the model's expected score that the right state must reach: not all, because the model is of other networks."""

_DEVIATIONS = 4.0
"""Standard deviations by which the right state may fall short of the expected score."""

_SLICES = 16  # pieces of a strand's search


@dataclass(frozen=True)
class Budget:
    """bytes   of one locked tensor, from the first whole block on
    keys       random keys, one after the other
    keep       states of a strand that are kept
    first      values that are tried for the first byte of a strand's state: all 256, or fewer, the right one among them.
               Fewer values give away 8 - log2(first) bits of each strand; the figure is then of finding the rest
    """

    bytes: int = 1024
    keys: int = 1
    keep: int = 512
    first: int = 256


QUICK = Budget(bytes=4096, first=1)
FULL = (Budget(), Budget(bytes=512, keys=20, first=1), Budget(bytes=256, keys=20, first=1))


class NoLikelyState(DeeplockError):
    """The search found no likely key: the only error that is a result of the attack."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """Result of a search.

    key         the likeliest, right or not
    bits        its log2 likelihood ratio against a random key
    lead        bits by which it is ahead of the next best; infinite if there is none
    candidates  states tried in all
    seconds     that they took, on one core
    """

    key: bytes
    bits: float
    lead: float
    candidates: int
    seconds: float


def locked_stream(checkpoint: Checkpoint, tensor: str) -> tuple[np.ndarray, int]:
    """A tensor's locked bytes, uint8 [n], and the key stream's byte that locks the first of them."""
    if tensor not in checkpoint.tensors:
        raise DeeplockError(f"no tensor {tensor!r}: must be one of {', '.join(sorted(checkpoint.tensors))}")
    before = sum(value.nbytes for name, value in checkpoint.tensors.items() if name < tensor)
    return np.frombuffer(checkpoint.tensors[tensor].tobytes(), np.uint8), before


def _tables(scores: np.ndarray, model: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Tables for `search`, int8 [steps, 256]: scores, less the growth of the threshold that the right state must reach."""
    ratio = np.log2(256 * model)[positions % len(model)]
    mean = (model[positions % len(model)] * ratio).sum(axis=1)
    variance = (model[positions % len(model)] * ratio**2).sum(axis=1) - mean**2
    least = _SLACK * np.cumsum(mean) - _DEVIATIONS * np.sqrt(np.cumsum(variance))
    return np.clip(np.rint(UNIT * (scores - np.diff(least, prepend=0)[:, None])), -128, 127).astype(np.int8)


def recover_key(
    locked: np.ndarray,
    position: int,
    model: np.ndarray,
    lock: DeepLock,
    keep: int = 512,
    first: Callable[[int, int], range] = lambda strand, block: range(256),
    progress: Progress = quiet,
) -> Recovered:
    """The likeliest AES-128 key of locked parameter bytes.

    locked    uint8 [n], at byte `position` of the locked stream; at least 16 whole blocks of 16 bytes
    model     float64 [period, 256] (byte_models.py); byte 0 of `locked` has position 0 in it
    first     (strand, block) -> values of the first byte of the state to try

    Raises NoLikelyState if no key fits, DeeplockError if there are too few bytes or no g++.
    """
    skipped = -position % 16
    blocks, start = (len(locked) - skipped) // 16, (position + skipped) // 16
    if blocks < 16:
        raise DeeplockError(f"ciphertext-only needs 16 whole blocks of 16 bytes, not {max(blocks, 0)}")
    places = skipped + np.arange(16 * blocks)
    plain_of = lock.inv_sbox[locked[places]][:, None] ^ np.arange(256, dtype=np.uint8)  # [byte, value of the key byte]
    scores = np.take_along_axis(np.log2(256 * model)[places % len(model)], plain_of.astype(np.int64), axis=1)
    tasks, found = [], {j: [] for j in range(STRANDS)}
    for j in range(STRANDS):
        mine = 16 * np.arange(blocks) + 12 + last_word_bytes(j, start, blocks)
        tables, values = _tables(scores[mine], model, places[mine]), first(j, start)
        size = -(-len(values) // _SLICES)
        tasks += [(tables, j, start, keep, values[at : at + size]) for at in range(0, len(values), size)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # threads: C++ runs outside the interpreter lock
        try:
            for number, (task, part) in enumerate(
                zip(tasks, pool.map(lambda task: search(*task), tasks), strict=True), 1
            ):
                found[task[1]].append(part)
                progress("searching for the states of the strands", number, len(tasks))
        finally:
            pool.shutdown(cancel_futures=True)
    strands: list[Found] = [merge(found[j], keep) for j in range(STRANDS)]
    if lost := [j for j in range(STRANDS) if not len(strands[j].states)]:
        raise NoLikelyState(f"no state of strand {lost[0]} is likely: not such parameters, or not AES-128")
    block, index, bits, runner_up = best_block(scores, [strand.states for strand in strands], start, keep)
    return Recovered(
        invert_schedule(block, 16 * index),
        bits,
        bits - runner_up,
        sum(strand.candidates for strand in strands),
        sum(strand.seconds for strand in strands),
    )


def run(network: str, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Attack the largest layer of the trained int8 network, locked as a checkpoint with random keys.

    MNIST's largest layer is the first dense one. The model of int8 weights is made from the other trained networks.
    """
    weights = weights_of(network)
    tensor = max(weights, key=lambda name: weights[name].size)
    model = model_of(like(tensor, other_networks(network)))
    rng = np.random.default_rng([seed, *network.encode()])
    right, seconds, candidates, bits = 0, 0.0, 0, []
    for number in range(budget.keys):
        key = rng.bytes(16)
        data, position = locked_stream(lock_checkpoint(Checkpoint(weights), key, SUITE), tensor)
        data = data[: budget.bytes - budget.bytes % 16 + -position % 16]
        given = _given(key, budget.first)
        said = within(progress, f"key {number + 1} of {budget.keys}")
        try:
            found = recover_key(data, position, model, SUITE, budget.keep, given, said)
        except NoLikelyState:  # with too few bytes the right state may miss the threshold
            bits.append(0.0)
            continue
        right += found.key == key
        seconds, candidates = seconds + found.seconds, candidates + found.candidates
        bits.append(found.bits)
    told = information(model, weights[tensor].view(np.uint8).ravel()[: budget.bytes])
    return [
        Result("share of keys recovered", right / budget.keys, 2.0**-128),
        Result("core seconds a key", seconds / budget.keys),
        Result("states searched a second and core", candidates / max(seconds, 1e-9)),
        Result("bits that a byte of ciphertext tells", told),
        Result("bits by which the key found is likelier than a random one, least", min(bits)),
    ]


def _given(key: bytes, count: int) -> Callable[[int, int], range]:
    """The values of a state's first byte to try: all, or `count` of them with the right one among them."""
    if count >= 256:
        return lambda strand, block: range(256)

    def values(strand: int, block: int) -> range:
        right = int(expand_key(key, 16 * block + 16)[16 * block + 12 + int(last_word_bytes(strand, block, 1)[0])])
        begin = min(right - right % count, 256 - count)
        return range(begin, begin + count)

    return values
