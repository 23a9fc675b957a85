"""The endless AES key expansion: the key stream of suite `deep-lock`.

FIPS-197 section 5.2 for 128-, 192- and 256-bit keys, run on past the last round key; Rcon goes on by doubling in
GF(2^8) (period 51). Byte 0 of the stream is byte 0 of the expanded key, so the standard's appendix A.1-A.3 give its
first 176/208/240 bytes.
"""

from array import array
from collections.abc import Iterator
from itertools import pairwise
from sys import byteorder

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.sbox import SBOX, double

__all__ = ["KEY_SIZES", "check_key_size", "expand_key", "expand_keys", "rcons"]

KEY_SIZES = (16, 24, 32)
"""Key lengths in bytes."""

_FEW = 8  # up to this many keys, expanding one after the other is faster than side by side
_CHUNK = 256  # blocks of Nk words expanded before they go to the result: 0.8 MB for 100 keys stays in the cache

_WORD = "<u4"  # byte 0 of a word lowest


def rcons() -> Iterator[int]:
    """The round constants without end: 0x01, 0x02, ..., 0x1b, 0x36, ... (FIPS-197 section 5.2)."""
    rcon = 1
    while True:
        yield rcon
        rcon = double(rcon)


def check_key_size(size: int) -> None:
    """`DeeplockError` unless `size` (bytes) is a key length."""
    if size not in KEY_SIZES:
        raise DeeplockError(f"key must be 16, 24 or 32 bytes, not {size}")


def expand_key(key: bytes, length: int) -> np.ndarray:
    """First `length` bytes of the key's stream: uint8 [length]. About 0.05 s per MB."""
    check_key_size(len(key))
    # S-boxes shifted to the byte that they replace. RotWord takes byte 1 to byte 0, 2 to 1, 3 to 2, 0 to 3.
    sub_0, sub_1, sub_2, sub_3 = ([int(s) << shift for s in SBOX] for shift in (0, 8, 16, 24))
    block = [int(word) for word in np.frombuffer(key, _WORD)]
    size = len(block)
    words = array("I", block)
    for rcon in rcons():
        if len(words) * 4 >= length:
            break
        last = block[-1]
        word = sub_0[last >> 8 & 255] ^ sub_1[last >> 16 & 255] ^ sub_2[last >> 24] ^ sub_3[last & 255] ^ rcon
        for i in range(size):
            if i == 4 and size == 8:
                word = sub_0[word & 255] ^ sub_1[word >> 8 & 255] ^ sub_2[word >> 16 & 255] ^ sub_3[word >> 24]
            block[i] = word = word ^ block[i]
        words.extend(block)
    if byteorder == "big":
        words.byteswap()
    return np.frombuffer(words, np.uint8)[:length]


def expand_keys(keys: np.ndarray, length: int) -> np.ndarray:
    """Streams of n keys: uint8 [n, 16 | 24 | 32] -> uint8 [n, length]. 100 keys take a dozen times as long as one."""
    keys = np.ascontiguousarray(keys, np.uint8)
    check_key_size(keys.shape[1])
    if len(keys) <= _FEW:
        return np.array([expand_key(key.tobytes(), length) for key in keys], np.uint8).reshape(len(keys), length)
    return _expand_side_by_side(keys, length)


def _expand_side_by_side(keys: np.ndarray, length: int) -> np.ndarray:
    pair = np.arange(1 << 16)
    sub_pair = SBOX[pair >> 8].astype("<u2") << 8 | SBOX[pair & 255]  # two S-boxes in one look-up

    def sub_word(word: np.ndarray) -> np.ndarray:
        return sub_pair.take(word.view("<u2")).view(_WORD)

    count, size = len(keys), keys.shape[1] // 4
    out = np.empty((count, length), np.uint8)
    rcon = rcons()
    blocks = np.empty((_CHUNK + 1, size, count), _WORD)  # block, word, key: one step reads and writes whole rows
    blocks[0] = keys.view(_WORD).T
    for start in range(0, length, _CHUNK * size * 4):
        for old, new in pairwise(blocks):
            word = sub_word(old[-1])
            word = word >> 8 | word << 24
            word ^= next(rcon)
            np.bitwise_xor(old[0], word, out=new[0])
            for i in range(1, size):
                previous = sub_word(new[3]) if i == 4 and size == 8 else new[i - 1]
                np.bitwise_xor(old[i], previous, out=new[i])
        chunk = np.ascontiguousarray(blocks[:-1].transpose(2, 0, 1)).view(np.uint8).reshape(count, -1)
        out[:, start : start + chunk.shape[1]] = chunk[:, : length - start]
        blocks[0] = blocks[-1]
    return out
