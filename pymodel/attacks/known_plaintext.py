"""Known plaintext: the master key from as many consecutive plain bytes as the key has.

A plain byte and its locked byte give the key byte: k = INV_S[locked] XOR plain. Sixteen consecutive key bytes (24 for
AES-192, 32 for AES-256) at any multiple of 4 bytes are Nk words of the schedule, which runs backwards
(schedule_inversion.py). An attacker has such bytes if a few parameters are known: those of a published layer that was kept
as it was, biases that stayed 0, or padding.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.schedule_inversion import invert_schedule
from deeplock.pymodel.lock.checkpoint import Checkpoint, lock_checkpoint, unlock_checkpoint
from deeplock.pymodel.lock.suites.deep_lock import SUITE, DeepLock
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.schemes.deep_lock import checkpoint_of
from deeplock.pymodel.schemes.victim import dequantise
from deeplock.pymodel.zoo import trained

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "attack_checkpoint", "parameter_stream", "recover_key", "run"]

NEEDS = "a locked file and 16, 24 or 32 consecutive plain bytes of it, at a multiple of 4; no time to speak of"
SCHEMES = ("deep-lock",)


@dataclass(frozen=True)
class Budget:
    """keys  random keys of each size"""

    keys: int = 20


QUICK = Budget(keys=4)
FULL = Budget()


def recover_key(locked: np.ndarray, plain: np.ndarray, position: int, lock: DeepLock) -> bytes:
    """The master key, from as many known bytes, uint8 [16 | 24 | 32] locked and plain, at byte `position` of the stream."""
    return invert_schedule(lock.inv_sbox[locked] ^ plain, position)


def parameter_stream(checkpoint: Checkpoint) -> np.ndarray:
    """All parameter bytes in the order in which they are locked."""
    return np.concatenate([np.frombuffer(value.tobytes(), np.uint8) for _, value in sorted(checkpoint.tensors.items())])


def run(network: str, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Lock the network's float checkpoint with random keys, and recover each from known bytes at a random place.

    A key counts as recovered if the whole checkpoint unlocks to the same bits.
    """
    return attack_checkpoint(checkpoint_of(dequantise(trained.load(network)), network), budget, seed, progress)


def attack_checkpoint(plain: Checkpoint, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """`run` on any checkpoint."""
    rng, results = np.random.default_rng(seed), []
    expected = parameter_stream(plain)
    for size in SUITE.key_sizes:
        found = 0
        for number in range(budget.keys):
            progress(f"AES-{8 * size} keys", number, budget.keys)
            locked = lock_checkpoint(plain, rng.bytes(size), SUITE)
            position = 16 * int(rng.integers(0, (len(expected) - size) // 16))
            known = slice(position, position + size)
            key = recover_key(parameter_stream(locked)[known], expected[known], position, SUITE)
            found += np.array_equal(parameter_stream(unlock_checkpoint(locked, key)), expected)
        results.append(Result(f"share of AES-{8 * size} keys recovered from {size} known bytes", found / budget.keys))
    return results
