"""8-bit S-boxes: the AES S-box from its field definition, and figures of quality for any S-box.

A table is uint8 [256], entry x holding S[x]. Source of the AES S-box: FIPS-197 section 5.1.1.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = [
    "INV_SBOX",
    "POLYNOMIAL",
    "SBOX",
    "Properties",
    "algebraic_degree",
    "check_bijection",
    "differential_uniformity",
    "double",
    "invert",
    "nonlinearity",
    "properties",
]

POLYNOMIAL = 0x11B  # x^8 + x^4 + x^3 + x + 1


def double(a: int) -> int:
    """a * x in GF(2^8) (FIPS-197 section 4.2.1, xtime)."""
    return (a << 1) ^ (POLYNOMIAL if a & 0x80 else 0)


def _aes_sbox() -> np.ndarray:
    powers = [1]  # of the generator x + 1
    while len(powers) < 255:
        powers.append(powers[-1] ^ double(powers[-1]))
    inverse = [0] * 256
    for exponent, power in enumerate(powers):
        inverse[power] = powers[-exponent % 255]
    table = np.zeros(256, np.uint8)
    for x, y in enumerate(inverse):
        rotations = y ^ y << 1 ^ y << 2 ^ y << 3 ^ y << 4
        table[x] = (rotations ^ rotations >> 8) & 0xFF ^ 0x63  # bits shifted out come in again: a rotation
    return table


def check_bijection(table: np.ndarray) -> np.ndarray:
    """The table as uint8 [256]; `DeeplockError` if it is no bijection on bytes."""
    values = np.asarray(table)
    if values.shape != (256,):
        raise DeeplockError(f"S-box must have 256 entries, has shape {values.shape}")
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise DeeplockError("S-box entries must be integers in 0..255")
    count = np.bincount(values, minlength=256)
    if count.max() > 1:
        repeated = int(count.argmax())
        raise DeeplockError(f"S-box must be a bijection: {repeated:#04x} appears {count[repeated]} times")
    return values.astype(np.uint8)


def invert(table: np.ndarray) -> np.ndarray:
    """The inverse permutation: invert(S)[S[x]] = x."""
    inverse = np.zeros(256, np.uint8)
    inverse[check_bijection(table)] = np.arange(256, dtype=np.uint8)
    return inverse


def nonlinearity(table: np.ndarray) -> int:
    """Least Hamming distance of any non-zero combination of output bits to any affine function (112 for AES)."""
    table = check_bijection(table)
    index = np.arange(256, dtype=np.uint8)
    sign = 1 - 2 * (np.bitwise_count(index[:, None] & index) & 1).astype(np.int32)  # [a, x] = (-1)^(a.x)
    walsh = sign @ sign[:, table].T  # [a, b] = sum over x of (-1)^(a.x + b.S[x])
    return int(128 - abs(walsh[:, 1:]).max() // 2)


def differential_uniformity(table: np.ndarray) -> int:
    """Largest number of solutions x of S[x ^ a] ^ S[x] = b over all a != 0 and b (4 for AES)."""
    table = check_bijection(table)
    index = np.arange(256)
    return max(int(np.bincount(table[index ^ a] ^ table).max()) for a in range(1, 256))


def algebraic_degree(table: np.ndarray) -> int:
    """Highest degree of an output bit's algebraic normal form (7 for AES)."""
    form = np.unpackbits(check_bijection(table)[:, None], axis=1)  # [x, output bit]
    for bit in range(8):  # the Moebius transform, one variable at a time
        halves = form.reshape(-1, 2, 1 << bit, 8)
        halves[:, 1] ^= halves[:, 0]
    monomials = np.flatnonzero(form.any(axis=1))
    return int(np.bitwise_count(monomials).max())


@dataclass(frozen=True)
class Properties:
    """The figures by which an S-box is judged. AES: 112, 4, 7."""

    nonlinearity: int
    differential_uniformity: int
    algebraic_degree: int


def properties(table: np.ndarray) -> Properties:
    """All three figures of a table."""
    return Properties(nonlinearity(table), differential_uniformity(table), algebraic_degree(table))


SBOX = _aes_sbox()
INV_SBOX = invert(SBOX)
SBOX.flags.writeable = INV_SBOX.flags.writeable = False
