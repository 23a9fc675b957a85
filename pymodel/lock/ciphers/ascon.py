"""Ascon-AEAD128 (NIST SP 800-232, sections 3 and 4). Not Ascon v1.2, whose byte order, padding and rate differ.

The state is five 64-bit words, S0 to S4; byte 0 of a word is its lowest. S0 and S1 are the rate, 16 bytes.
"""

from struct import iter_unpack, pack, unpack

from deeplock.pymodel.lock.ciphers.sizes import check_sizes

__all__ = ["BLOCK", "IV", "NONCE_BYTES", "ROTATIONS", "ROUNDS", "SEPARATION", "TAG_BYTES", "open", "permute", "seal"]

NONCE_BYTES = 16
TAG_BYTES = 16

BLOCK = 16
"""Bytes of a rate block."""

IV = 0x00001000_808C0001
"""S0 in the beginning (section 4.1)."""

ROUNDS = {"outer": 12, "inner": 8}
"""Rounds at a message's begin and end, and after each block in between (section 4)."""

SEPARATION = 1 << 63
"""Added to S4 between associated data and message, also where there is no associated data."""

ROTATIONS = ((19, 28), (61, 39), (1, 6), (10, 17), (7, 41))
"""The linear layer: S_i ^= S_i >>> a ^ S_i >>> b (section 3.4)."""

_MASK = (1 << 64) - 1
_TWICE = (1 << 64) + 1  # a word times this stands there twice, so that a shift rotates it

State = tuple[int, int, int, int, int]


_CONSTANTS = tuple((15 - i) << 4 | i for i in range(12))
"""What a round adds to S2 (section 3.2). Fewer rounds than twelve are the last ones."""

_TURNED = tuple(constant ^ _MASK for constant in _CONSTANTS)


def permute(state: State, rounds: int) -> State:
    """Ascon-p[rounds], 1 to 12 rounds (section 3). About 10 us for 8."""
    x0, x1, x2, x3, x4 = state
    x2 ^= _MASK  # S2 is turned throughout, as the S-box leaves it; the linear layer keeps that
    for constant in _TURNED[-rounds:]:
        x2 ^= constant ^ x1
        x0 ^= x4
        x4 ^= x3
        # ~a & b = b ^ a & b: without negative numbers
        y0 = x0 ^ x2 ^ x1 & x2
        y1 = x1 ^ x3 ^ x2 & x3
        y2 = x2 ^ x4 ^ x3 & x4
        y3 = x3 ^ x0 ^ x4 & x0
        y4 = x4 ^ x1 ^ x0 & x1
        y1 ^= y0
        y0 ^= y4
        y3 ^= y2
        w0, w1, w2, w3, w4 = y0 * _TWICE, y1 * _TWICE, y2 * _TWICE, y3 * _TWICE, y4 * _TWICE
        x0 = (w0 >> 19 ^ w0 >> 28 ^ y0) & _MASK
        x1 = (w1 >> 61 ^ w1 >> 39 ^ y1) & _MASK
        x2 = (w2 >> 1 ^ w2 >> 6 ^ y2) & _MASK
        x3 = (w3 >> 10 ^ w3 >> 17 ^ y3) & _MASK
        x4 = (w4 >> 7 ^ w4 >> 41 ^ y4) & _MASK
    return x0, x1, x2 ^ _MASK, x3, x4


def _padded(data: bytes) -> bytes:
    return data + b"\x01" + bytes(-(len(data) + 1) % BLOCK)


def _begin(key: bytes, nonce: bytes, associated: bytes) -> State:
    """The state in front of the message (section 4.1)."""
    check_sizes(key, nonce, NONCE_BYTES)
    k0, k1 = unpack("<QQ", key)
    x0, x1, x2, x3, x4 = permute((IV, k0, k1, *unpack("<QQ", nonce)), ROUNDS["outer"])
    x3 ^= k0
    x4 ^= k1
    if associated:
        for a, b in iter_unpack("<QQ", _padded(associated)):
            x0, x1, x2, x3, x4 = permute((x0 ^ a, x1 ^ b, x2, x3, x4), ROUNDS["inner"])
    return x0, x1, x2, x3, x4 ^ SEPARATION


def _end(state: State, key: bytes) -> bytes:
    """The tag, after the last block (section 4.1)."""
    k0, k1 = unpack("<QQ", key)
    x0, x1, x2, x3, x4 = state
    *_, x3, x4 = permute((x0, x1, x2 ^ k0, x3 ^ k1, x4), ROUNDS["outer"])
    return pack("<QQ", x3 ^ k0, x4 ^ k1)


def seal(key: bytes, nonce: bytes, associated: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and 16-byte tag of a message of any length (algorithm 3). About 0.7 s a megabyte.

    DeeplockError unless key and nonce are 16 bytes. The same key and nonce must never seal two messages.
    """
    x0, x1, x2, x3, x4 = _begin(key, nonce, associated)
    *blocks, (last_0, last_1) = iter_unpack("<QQ", _padded(plain))
    out = bytearray()
    for a, b in blocks:
        x0 ^= a
        x1 ^= b
        out += pack("<QQ", x0, x1)
        x0, x1, x2, x3, x4 = permute((x0, x1, x2, x3, x4), ROUNDS["inner"])
    x0 ^= last_0
    x1 ^= last_1
    out += pack("<QQ", x0, x1)
    return bytes(out[: len(plain)]), _end((x0, x1, x2, x3, x4), key)


def open(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Plain bytes and the tag that they must come with (algorithm 4): the caller compares it, and uses nothing before.

    DeeplockError unless key and nonce are 16 bytes.
    """
    x0, x1, x2, x3, x4 = _begin(key, nonce, associated)
    whole = len(ciphertext) // BLOCK * BLOCK
    out = bytearray()
    for a, b in iter_unpack("<QQ", ciphertext[:whole]):
        out += pack("<QQ", x0 ^ a, x1 ^ b)
        x0, x1, x2, x3, x4 = permute((a, b, x2, x3, x4), ROUNDS["inner"])
    rest = bytes(c ^ s for c, s in zip(ciphertext[whole:], pack("<QQ", x0, x1), strict=False))
    last_0, last_1 = unpack("<QQ", _padded(rest))
    return bytes(out + rest), _end((x0 ^ last_0, x1 ^ last_1, x2, x3, x4), key)
