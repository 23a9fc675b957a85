"""ACORN-128 v3: authenticated encryption by a stream cipher of 293 bits.

Source: Hongjun Wu, "ACORN: A Lightweight Authenticated Cipher (v3)", CAESAR, 2016.
"""

from struct import pack, unpack

from deeplock.pymodel.lock.ciphers.sizes import check_sizes

__all__ = ["NONCE_BYTES", "TAG_BYTES", "open", "seal"]

NONCE_BYTES = 16
TAG_BYTES = 16

_WORD = 32  # steps at a time: the nearest bits that depend on each other are 37 steps apart


class _State:
    """The shift register after 0 steps, all bits 0. Bit 0 leaves first."""

    def __init__(self):
        self.bits = 0

    def step(self, message: int, ca: bool, cb: bool, opens: bool = False, steps: int = _WORD) -> int:
        """`steps` steps, at most 32, that take a bit of `message` each, or that XOR key stream if it `opens`: key stream."""
        s, mask = self.bits, (1 << steps) - 1
        s_0, s_12, s_23, s_61, s_66 = s & mask, s >> 12 & mask, s >> 23 & mask, s >> 61 & mask, s >> 66 & mask
        s_107, s_111, s_154, s_160 = s >> 107 & mask, s >> 111 & mask, s >> 154 & mask, s >> 160 & mask
        s_193, s_196, s_230, s_235, s_244 = s >> 193 & mask, s >> 196 & mask, s >> 230 & mask, s >> 235 & mask, s >> 244
        new_61, new_107 = s_61 ^ s_23 ^ s_0, s_107 ^ s_66 ^ s_61
        new_154, new_193, new_230 = s_154 ^ s_111 ^ s_107, s_193 ^ s_160 ^ s_154, s_230 ^ s_196 ^ s_193
        key_stream = s_12 ^ new_154 ^ (s_235 & new_61 ^ s_235 & new_193 ^ new_61 & new_193)
        key_stream ^= s_66 ^ new_230 & (s_111 ^ s_66)
        feedback = s_0 ^ new_107 ^ mask ^ message ^ (s_244 & s_23 ^ s_244 & s_160 ^ s_23 & s_160) & mask
        if ca:
            feedback ^= s_196
        if cb or opens:
            feedback ^= key_stream
        s ^= (s_23 ^ s_0) << 61 ^ (s_66 ^ s_61) << 107 ^ (s_111 ^ s_107) << 154 ^ (s_160 ^ s_154) << 193
        s ^= (s_196 ^ s_193) << 230 ^ (s_235 ^ s_230) << 289 ^ feedback << 293
        self.bits = s >> steps
        return key_stream

    def take(self, data: bytes, cb: bool, opens: bool = False) -> bytes:
        """Take `data`, with ca 1: `data` XOR key stream."""
        count = len(data) // 4
        words = [word ^ self.step(word, True, cb, opens) for word in unpack(f"<{count}I", data[: 4 * count])]
        tail = bytes(byte ^ self.step(byte, True, cb, opens, 8) for byte in data[4 * count :])
        return pack(f"<{count}I", *words) + tail

    def pad(self, cb: bool) -> None:
        """The 256 steps that tell an end from what follows it."""
        for word in range(8):
            self.step(word == 0, word < 4, cb)


def _start(key: bytes, nonce: bytes, associated: bytes) -> _State:
    """The state before the message: initialization, and the associated data."""
    check_sizes(key, nonce, NONCE_BYTES)
    state = _State()
    state.take(key + nonce + bytes([key[0] ^ 1]) + key[1:] + 11 * key, cb=True)
    state.take(associated, cb=True)
    state.pad(cb=True)
    return state


def _tag(state: _State) -> bytes:
    """The tag behind the message: finalization."""
    state.pad(cb=False)
    return state.take(bytes(96), cb=True)[-TAG_BYTES:]


def seal(key: bytes, nonce: bytes, associated: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and tag. About 1 s per MB.

    Raises DeeplockError for a key or nonce that has not 16 bytes.
    """
    state = _start(key, nonce, associated)
    return state.take(plain, cb=False), _tag(state)


def open(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Plain bytes, and the tag that the ciphertext must have come with; nothing may use them before the caller has compared
    it, in constant time (hmac.compare_digest). Errors and time as of `seal`."""
    state = _start(key, nonce, associated)
    return state.take(ciphertext, cb=False, opens=True), _tag(state)
