"""Lock suites: which key stream and which S-box lock a byte stream.

Byte i of a stream is locked with byte i of the key stream: locked = S[plain ^ k], plain = INV_S[locked] ^ k (Deep-Lock,
arXiv 2008.05966). Only this file knows what tells one suite from another.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import expand_keys
from deeplock.pymodel.lock.sbox import SBOX, check_bijection, invert

__all__ = ["SUITES", "Suite", "lock", "suite", "unlock", "unlock_many"]

KeyStreams = Callable[[np.ndarray, int, bytes], np.ndarray]


@dataclass(frozen=True, eq=False)
class Suite:
    """A key-stream generator and a substitution.

    name, id     as users and as the accelerator's registers know it
    sbox         uint8 [256], the substitution that locks
    key_streams  (keys uint8 [k, key size], length in bytes, nonce) -> uint8 [k, length]; None: the suite does not lock
    """

    name: str
    id: int
    sbox: np.ndarray
    key_streams: KeyStreams | None

    @property
    def locks(self) -> bool:
        """False where locked bytes are the plain bytes, and there is no key."""
        return self.key_streams is not None

    @property
    def inv_sbox(self) -> np.ndarray:
        """uint8 [256], the substitution that unlocks."""
        return invert(self.sbox)

    def key_stream(self, key: bytes, length: int, nonce: bytes = b"") -> np.ndarray:
        """First `length` bytes of the key stream: uint8 [length]."""
        if self.key_streams is None:
            raise DeeplockError(f"suite {self.name} takes no key")
        return self.key_streams(np.frombuffer(key, np.uint8)[None], length, nonce)[0]


def _endless_key_expansion(keys: np.ndarray, length: int, nonce: bytes) -> np.ndarray:
    if nonce:
        raise DeeplockError("suite deep-lock takes no nonce")
    return expand_keys(keys, length)


SUITES = {
    "plain": Suite("plain", 0, np.arange(256, dtype=np.uint8), None),
    "deep-lock": Suite("deep-lock", 1, SBOX, _endless_key_expansion),
}
"""Every suite by its name."""


def suite(name: str, sbox: np.ndarray | None = None) -> Suite:
    """The suite of that name, on request with another S-box (any bijection, uint8 [256])."""
    if name not in SUITES:
        raise DeeplockError(f"suite must be one of {', '.join(SUITES)}, not {name}")
    chosen = SUITES[name]
    if sbox is None:
        return chosen
    if not chosen.locks:
        raise DeeplockError(f"suite {name} takes no S-box")
    return replace(chosen, sbox=check_bijection(sbox))


def _check(suite: Suite, data: np.ndarray, key: bytes, nonce: bytes) -> None:
    if data.dtype != np.uint8:
        raise ValueError(f"data must be uint8, not {data.dtype}")
    if not suite.locks and (key or nonce):
        raise DeeplockError(f"suite {suite.name} takes no key")


def lock(suite: Suite, data: np.ndarray, key: bytes, nonce: bytes = b"") -> np.ndarray:
    """Lock uint8 [..., n], every row from byte 0 of the key stream on. `plain` gives a copy back; its key is b""."""
    _check(suite, data, key, nonce)
    if not suite.locks:
        return data.copy()
    return suite.sbox[data ^ suite.key_stream(key, data.shape[-1], nonce)]


def unlock(suite: Suite, data: np.ndarray, key: bytes, nonce: bytes = b"") -> np.ndarray:
    """Unlock uint8 [..., n]: the inverse of `lock` under the same key and nonce."""
    _check(suite, data, key, nonce)
    if not suite.locks:
        return data.copy()
    return suite.inv_sbox[data] ^ suite.key_stream(key, data.shape[-1], nonce)


def unlock_many(suite: Suite, data: np.ndarray, keys: np.ndarray, nonce: bytes = b"") -> np.ndarray:
    """Unlock the same uint8 [n] with each of k keys, uint8 [k, key size]: uint8 [k, n]."""
    _check(suite, data, b"", nonce)
    if suite.key_streams is None:
        raise DeeplockError(f"suite {suite.name} takes no key")
    return suite.inv_sbox[data] ^ suite.key_streams(keys, len(data), nonce)
