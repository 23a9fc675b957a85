"""What the S-box is worth: AES's, an affine one and none (the identity), in the lock and in the key schedule.

In the lock: nothing. A wrong key k' unlocks to INV_S[S[p ^ k]] ^ k' = p ^ k ^ k', whatever S is: to an attacker who knows S,
as Deep-Lock's does, the lock is a stream cipher. So wrong keys do as badly with the identity, bit for bit, and an attack on
the key stream undoes S first.

In the key schedule: everything. With an affine S-box, every bit of the key stream is affine in the key. Bits that are the
same in every trained float32 parameter then give the key away by linear algebra: bit 30, the exponent's highest, is 0 in all
parameters below 2.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.linear_schedule import expand, solve_key
from deeplock.pymodel.attacks.target import Target, measure
from deeplock.pymodel.lock.sbox import SBOX, double, properties
from deeplock.pymodel.lock.suites import deep_lock
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.schemes.deep_lock import DeepLock, checkpoint_of

__all__ = ["FULL", "NEEDS", "QUICK", "SBOXES", "SCHEMES", "Budget", "affine_sbox", "run"]

NEEDS = "a locked float32 file whose key schedule has an affine S-box; no time to speak of"
SCHEMES = ("deep-lock",)

_BIT = 30  # of a float32, the exponent's highest


def affine_sbox() -> np.ndarray:
    """x -> 3 x + 0x63 in GF(2^8): affine in the bits. Multiplying by 3 has order 255, so that all bits of a byte mix.

    (AES's own affine map without the inversion would not do: its linear part has order 4, and known bits of one position
    then tell no more than with the identity.)
    """
    return np.array([double(x) ^ x ^ 0x63 for x in range(256)], np.uint8)


SBOXES = {"aes": SBOX, "affine": affine_sbox(), "identity": np.arange(256, dtype=np.uint8)}


@dataclass(frozen=True)
class Budget:
    """keys       random wrong keys for each S-box
    parameters  float32 parameters whose bit 30 is taken for 0
    """

    keys: int = 5
    parameters: int = 600


QUICK = Budget(keys=2)
FULL = Budget()


def _solved(name: str, plain: np.ndarray, rng: np.random.Generator) -> tuple[int, bool]:
    """Rank of the equations, and whether they give the key of float32 parameters [n] that were locked with this S-box."""
    key = np.frombuffer(rng.bytes(16), np.uint8)
    stream = expand(key[None], plain.nbytes, SBOXES[name])[0]
    locked = SBOXES[name][plain.view(np.uint8) ^ stream]
    opened = np.argsort(SBOXES[name])[locked].astype(np.uint8)  # plain ^ stream
    bits = 8 * (4 * np.arange(len(plain)) + _BIT // 8) + 7 - _BIT % 8  # the file is little-endian
    values = np.unpackbits(opened)[bits].astype(bool)
    solution = solve_key(SBOXES[name], bits, values)
    return solution.rank, solution.key == key.tobytes()


def run(target: Target, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """For each S-box: its non-linearity, accuracies of wrong keys, and what linear algebra finds of the key.

    Yardstick of each: the same with AES's S-box, in which the key schedule is not affine.
    """
    victim, rng = target.victim, np.random.default_rng([seed, 3])
    keys = [rng.bytes(16) for _ in range(budget.keys)]
    results, reference = [], {}
    plain = checkpoint_of(victim.module, victim.name)
    # parameters of a real checkpoint's largest tensor, in the order of the file
    parameters = max(plain.tensors.values(), key=lambda value: value.size).ravel()[: budget.parameters]
    for number, (name, sbox) in enumerate(SBOXES.items()):
        progress(f"S-box {name}", number, len(SBOXES))
        chosen = DeepLock(suite=deep_lock.DeepLock(sbox))
        protected, _ = chosen.protect(victim, seed)
        wrong = [measure(module, victim.test) for module in chosen.authorise_many(protected, keys)]
        rank, found = (0, False) if name == "aes" else _solved(name, parameters, rng)
        figures = {
            "non-linearity": float(properties(sbox).nonlinearity),
            "accuracy, random keys, mean": float(np.mean(wrong)),
            "key bits that linear algebra finds": float(rank),
            "keys that linear algebra finds": float(found),
        }
        reference = reference or figures
        results += [Result(f"{metric} ({name})", value, reference[metric]) for metric, value in figures.items()]
    return results
