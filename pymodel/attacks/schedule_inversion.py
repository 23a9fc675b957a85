"""The AES key expansion run backwards: from any Nk consecutive words of the endless stream to the master key.

FIPS-197 section 5.2 makes w[i] = w[i - Nk] ^ g(w[i - 1], i) with a known g, so w[i - Nk] = w[i] ^ g(w[i - 1], i). Nk words are
16, 24 or 32 bytes, as long as the key: fewer leave whole bytes of it open, because the expansion is a bijection on Nk words.
"""

from itertools import islice

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import check_key_size, rcons
from deeplock.pymodel.lock.sbox import SBOX

__all__ = ["follows", "invert_schedule"]

_PERIOD = 51  # of rcons: x has order 51 in GF(2^8)
_RCONS = list(islice(rcons(), _PERIOD))


def _fed(word: np.ndarray, index: int, size: int) -> np.ndarray:
    """g(w[index - 1], index): uint8 [4] -> uint8 [4]."""
    if index % size == 0:
        word = SBOX[np.roll(word, -1)]
        word[0] ^= _RCONS[(index // size - 1) % _PERIOD]
    elif size == 8 and index % size == 4:
        word = SBOX[word]
    return word


def follows(word: np.ndarray, stream: np.ndarray, position: int) -> bool:
    """Whether this word, uint8 [4], comes behind these bytes, which are as many as the key's and at byte `position`, a multiple
    of 4, of the key stream of some key."""
    size = len(stream) // 4
    words = stream.reshape(size, 4)
    return bool(np.array_equal(word, words[0] ^ _fed(words[-1].copy(), position // 4 + size, size)))


def invert_schedule(stream: np.ndarray, position: int) -> bytes:
    """The master key whose stream has these bytes at byte `position`, a multiple of 4.

    stream  uint8 [16 | 24 | 32], as long as the key
    """
    stream = np.asarray(stream, np.uint8)
    check_key_size(len(stream))
    if position < 0 or position % 4:
        raise DeeplockError(f"position in the key stream must be a multiple of 4, not {position}")
    size = len(stream) // 4
    words = list(stream.reshape(size, 4))
    for index in range(position // 4 + size - 1, size - 1, -1):
        words = [words[-1] ^ _fed(words[-2], index, size), *words[:-1]]
    return np.concatenate(words).tobytes()
