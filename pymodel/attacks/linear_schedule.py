"""The key stream if the key schedule's S-box is affine: each of its bits is then affine in the key's bits.

Known bits of the stream, wherever they lie, are then linear equations. Gaussian elimination replaces the search over 2^32
states a strand of ciphertext_only.py.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from deeplock.pymodel.lock.key_schedule import rcons

__all__ = ["Solution", "expand", "solve_key", "stream_matrix"]

_WORDS = 4  # of an AES-128 key


def expand(keys: np.ndarray, length: int, sbox: np.ndarray) -> np.ndarray:
    """The endless AES-128 key expansion with any S-box: uint8 [n, 16] -> uint8 [n, length]."""
    block = keys.reshape(len(keys), _WORDS, 4).copy()
    blocks = [block]
    for rcon in islice(rcons(), -(-length // 16) - 1):
        block = block.copy()
        fed = sbox[np.roll(block[:, 3], -1, axis=1)]
        fed[:, 0] ^= rcon
        block[:, 0] ^= fed
        for word in range(1, _WORDS):
            block[:, word] ^= block[:, word - 1]
        blocks.append(block)
    return np.stack(blocks, axis=1).reshape(len(keys), -1)[:, :length]


def stream_matrix(sbox: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(matrix bool [n, 128], constants bool [n]) of these bits of the stream, if the S-box is affine.

    bits  int64 [n], bit 8 i + j being bit j of byte i, j = 0 the highest
    """
    basis = np.concatenate([np.zeros((1, 128), np.uint8), np.eye(128, dtype=np.uint8)])
    streams = expand(np.packbits(basis, axis=1), int(bits.max()) // 8 + 1, sbox)
    values = (streams[:, bits // 8] >> (7 - bits % 8) & 1).astype(bool)
    return (values[1:] ^ values[0]).T, values[0]


@dataclass(frozen=True)
class Solution:
    """rank  of the equations
    key      the key, if the rank is 128 and no equations contradict each other
    """

    rank: int
    key: bytes | None


def solve_key(sbox: np.ndarray, bits: np.ndarray, values: np.ndarray) -> Solution:
    """Solve for the key, given values bool [n] of these bits of the stream (`stream_matrix`)."""
    matrix, constants = stream_matrix(sbox, bits)
    rows = np.concatenate([matrix, (values ^ constants)[:, None]], axis=1)
    rank = 0
    for column in range(128):
        pivots = np.flatnonzero(rows[rank:, column])
        if len(pivots):
            rows[[rank, rank + pivots[0]]] = rows[[rank + pivots[0], rank]]
            others = rows[:, column].copy()
            others[rank] = False
            rows[others] ^= rows[rank]
            rank += 1
    if rank < 128 or rows[rank:, -1].any():
        return Solution(rank, None)
    return Solution(rank, np.packbits(rows[:128, -1]).tobytes())
