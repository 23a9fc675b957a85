"""The AES-128 key schedule as four strands of 32 bits that never meet (Leurent and Pernot, EUROCRYPT 2021).

Let a, b, c, d be the four words of block t of the stream (16 bytes a block), and x_r(t) byte r of d. The schedule makes prefix
sums in GF(2), so that the other words are sums of d and earlier d: c = x(t) + x(t-1), b = x(t) + x(t-2), a = x(t) + x(t-1) +
x(t-2) + x(t-3); and

    x_r(t+1) = x_r(t-3) + S[x_{r+1}(t)] + (Rcon if r = 0)          because (z + 1)^4 = z^4 + 1

So x_r(t) depends only on bytes with the same (r + t) mod 4. Strand j is y(t) = x_{(j-t) mod 4}(t), a sequence of bytes in
which each follows from the four before it: y(t+1) = y(t-3) + S[y(t)] + Rcon. Byte 12 + (j-t) mod 4 of block t is y(t)
itself; a byte of c takes two strands, j and j-1, one of b two, j and j-2, one of a all four.

The same argument gives AES-256 four strands of 64 bits, and AES-192, with (z + 1)^6 = z^6 + z^4 + z^2 + 1, two of 96.
"""

from itertools import islice

import numpy as np

from deeplock.pymodel.lock.key_schedule import rcons
from deeplock.pymodel.lock.sbox import SBOX

__all__ = ["STRANDS", "block_of", "constants", "last_word_bytes", "run_strand", "states_of"]

STRANDS = 4

_RCONS = np.array(list(islice(rcons(), 51)), np.uint8)


def last_word_bytes(strand: int, start: int, steps: int) -> np.ndarray:
    """Which byte (0..3) of the last word of blocks start .. start + steps - 1 belongs to the strand: int64 [steps]."""
    return (strand - np.arange(start, start + steps)) % 4


def constants(strand: int, start: int, steps: int) -> np.ndarray:
    """Rcons, or 0, that the strand's bytes of blocks start .. start + steps - 1 add, except in block 0: uint8 [steps]."""
    blocks = np.arange(start, start + steps)
    return np.where(last_word_bytes(strand, start, steps) == 0, _RCONS[(blocks - 1) % len(_RCONS)], 0).astype(np.uint8)


def run_strand(states: np.ndarray, strand: int, start: int, steps: int) -> np.ndarray:
    """The strand's bytes of blocks start .. start + steps - 1, uint8 [n, steps], from the first four, uint8 [n, 4]."""
    fed = constants(strand, start, steps)
    out = np.empty((len(states), max(steps, 4)), np.uint8)
    out[:, :4] = states
    for i in range(4, steps):
        out[:, i] = out[:, i - 4] ^ SBOX[out[:, i - 1]] ^ fed[i]
    return out[:, :steps]


def states_of(block: np.ndarray, index: int) -> np.ndarray:
    """The strands' bytes of blocks index - 3 .. index, uint8 [strand, 4], from block `index` of the stream, uint8 [16]."""
    a, b, c, d = np.asarray(block, np.uint8).reshape(4, 4)
    words = np.stack([a ^ b ^ c ^ d, b ^ d, c ^ d, d])  # d of blocks index - 3 .. index
    times = np.arange(4)
    return np.stack([words[times, last_word_bytes(strand, index - 3, 4)] for strand in range(STRANDS)])


def block_of(states: np.ndarray, index: int) -> np.ndarray:
    """Block `index` of the stream, uint8 [16]: the inverse of `states_of`."""
    words = np.empty((4, 4), np.uint8)
    for strand in range(STRANDS):
        words[np.arange(4), last_word_bytes(strand, index - 3, 4)] = states[strand]
    third, second, first, d = words  # d of blocks index - 3 .. index
    c, b = d ^ first, d ^ second
    return np.concatenate([third ^ b ^ c ^ d, b, c, d])
