"""TinyJAMBU-128 v2: authenticated encryption by a keyed permutation of 128 bits. Its tag has 64 bits.

Source: Hongjun Wu and Tao Huang, "TinyJAMBU: A Family of Lightweight Authenticated Encryption Algorithms (Version 2)", NIST
Lightweight Cryptography, finalist, 2021.
"""

from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES, check_sizes

__all__ = ["NONCE_BYTES", "TAG_BYTES", "open", "seal"]

NONCE_BYTES = 12
TAG_BYTES = 8

_MASK = 0xFFFFFFFF
_SHORT, _LONG = 5, 8  # a permutation's steps / 128
_NONCE, _ASSOCIATED, _MESSAGE, _END = (frame << 36 for frame in (1, 3, 5, 7))  # frame bits, at their place in the state


class _State:
    """The state behind key and nonce. Bit 0 leaves first.

    Raises DeeplockError for a key that has not 16 bytes, or a nonce that has not 12.
    """

    def __init__(self, key: bytes, nonce: bytes):
        check_sizes(key, nonce, NONCE_BYTES)
        # a step inverts an AND; inverting the key instead is the same
        self._key = [int.from_bytes(key[i : i + 4], "little") ^ _MASK for i in range(0, KEY_BYTES, 4)]
        self._bits = 0
        self.permute(0, _LONG)
        for i in range(0, NONCE_BYTES, 4):
            self.permute(_NONCE, _SHORT)
            self._bits ^= int.from_bytes(nonce[i : i + 4], "little") << 96

    def permute(self, frame: int, blocks: int) -> int:
        """XOR frame bits in, then 128 * `blocks` steps, 32 at a time: key stream, 32 bits."""
        s = self._bits ^ frame
        for _ in range(blocks):
            for key in self._key:
                s = s >> 32 | ((s ^ s >> 47 ^ (s >> 70 & s >> 85) ^ s >> 91 ^ key) & _MASK) << 96
        self._bits = s
        return s >> 64 & _MASK

    def take(self, data: bytes, frame: int, blocks: int, opens: bool = False) -> bytes:
        """Take words, and how many bytes the last one has unless 4: `data` XOR key stream."""
        out = []
        for i in range(0, len(data), 4):
            block = data[i : i + 4]
            key_stream = self.permute(frame, blocks) & ((1 << 8 * len(block)) - 1)
            word = int.from_bytes(block, "little")
            self._bits ^= (word ^ key_stream if opens else word) << 96 ^ (len(block) & 3) << 32
            out.append((word ^ key_stream).to_bytes(len(block), "little"))
        return b"".join(out)

    def tag(self) -> bytes:
        """The tag behind all that was taken."""
        words = (self.permute(_END, blocks) for blocks in (_LONG, _SHORT))
        return b"".join(word.to_bytes(4, "little") for word in words)


def _start(key: bytes, nonce: bytes, associated: bytes) -> _State:
    state = _State(key, nonce)
    state.take(associated, _ASSOCIATED, _SHORT)
    return state


def seal(key: bytes, nonce: bytes, associated: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and tag. About 3 s per MB of plain text, 2 s per MB of associated data.

    Raises DeeplockError for a key that has not 16 bytes, or a nonce that has not 12.
    """
    state = _start(key, nonce, associated)
    return state.take(plain, _MESSAGE, _LONG), state.tag()


def open(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Plain bytes, and the tag that the ciphertext must have come with; nothing may use them before the caller has compared
    it, in constant time (hmac.compare_digest). Errors and time as of `seal`."""
    state = _start(key, nonce, associated)
    return state.take(ciphertext, _MESSAGE, _LONG, opens=True), state.tag()
