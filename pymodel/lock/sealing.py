"""Sealed suites: an authenticated cipher over head and parameters (docs/loadable-format.md, "Sealed loadables").

Head and parameters are two messages under one nonce. The head stays in clear: it is associated data. Byte 0 of a
message's nonce says which message it is, and of which lane; in the loadable it is 0, as are the bytes behind the nonce
up to a whole beat. A licence is made in the same way of two other messages: its terms in clear, and a model key.
"""

import hmac
import secrets
from collections.abc import Callable
from types import ModuleType

import numpy as np

from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES
from deeplock.pymodel.lock.suite import Locked, Suite

__all__ = ["HEAD", "MODEL_KEY", "PARAMETERS", "TERMS", "WORD", "SealedSuite", "message_nonce"]

HEAD, PARAMETERS, TERMS, MODEL_KEY = range(4)
"""The messages of a sealed loadable, and of a licence."""

_LOADABLE, _LICENCE = (HEAD, PARAMETERS), (TERMS, MODEL_KEY)

WORD = 4
"""Bytes of a beat that belong to a lane, if the cipher has lanes."""


def message_nonce(nonce: bytes, message: int, lane: int) -> bytes:
    """The nonce of a message: the loadable's, with the message's number in bits 7..4 and the lane's in bits 3..0 of byte 0."""
    return bytes([message << 4 | lane]) + nonce[1:]


class SealedSuite(Suite):
    """A suite made of an authenticated cipher.

    cipher  module of pymodel/lock/ciphers
    laned   each 32-bit word of a beat is a lane: a message of its own, with a tag of its own; else a beat is one word
    """

    key_sizes = (KEY_BYTES,)
    seals = True

    def __init__(self, name: str, id: int, cipher: ModuleType, laned: bool) -> None:
        self.name, self.id = name, id
        self.cipher, self._laned = cipher, laned

    def _lanes(self, bytes_per_beat: int) -> int:
        return bytes_per_beat // WORD if self._laned else 1

    def nonce_bytes(self, bytes_per_beat: int) -> int:
        return -(-self.cipher.NONCE_BYTES // bytes_per_beat) * bytes_per_beat

    def tag_bytes(self, bytes_per_beat: int) -> int:
        return self.cipher.TAG_BYTES * self._lanes(bytes_per_beat)

    def _split(self, data: bytes, lanes: int) -> list[bytes]:
        """What each lane has of whole beats."""
        if lanes == 1:
            return [data]
        return [part.tobytes() for part in np.frombuffer(data, np.uint8).reshape(-1, lanes, WORD).swapaxes(0, 1)]

    def _join(self, parts: list[bytes]) -> bytes:
        """The beats of the lanes."""
        if len(parts) == 1:
            return parts[0]
        words = [np.frombuffer(part, np.uint8).reshape(-1, WORD) for part in parts]
        return np.stack(words, axis=1).tobytes()

    def _nonce(self, nonce: bytes, message: int, lane: int) -> bytes:
        return message_nonce(nonce, message, lane)[: self.cipher.NONCE_BYTES]

    def _head_tag(self, nonce: bytes, head: bytes, key: bytes, bytes_per_beat: int, message: int) -> bytes:
        parts = self._split(head, self._lanes(bytes_per_beat))
        return self._join(
            [self.cipher.seal(key, self._nonce(nonce, message, lane), part, b"")[1] for lane, part in enumerate(parts)]
        )

    def lock_loadable(self, head: bytes, parameters: bytes, key: bytes, bytes_per_beat: int) -> Locked:
        """Seal under a nonce from the operating system: nothing else may ever be sealed under it."""
        nonce = self.nonce_of(secrets.token_bytes, bytes_per_beat)
        return self.seal_under(nonce, head, parameters, key, bytes_per_beat)

    def nonce_of(self, draw: Callable[[int], bytes], bytes_per_beat: int) -> bytes:
        """A loadable's nonce: bytes of `draw`, which gives as many as it is asked for, and the fixed ones around them."""
        drawn = bytes(1) + draw(self.cipher.NONCE_BYTES - 1)
        return drawn.ljust(self.nonce_bytes(bytes_per_beat), b"\0")

    def seal_under(
        self,
        nonce: bytes,
        head: bytes,
        parameters: bytes,
        key: bytes,
        bytes_per_beat: int,
        messages: tuple[int, int] = _LOADABLE,
    ) -> Locked:
        """Seal under this nonce. Only for test vectors: whatever is sealed under it a second time is open to anyone."""
        self.check_key(len(key))
        clear, secret = messages
        parts = self._split(parameters, self._lanes(bytes_per_beat))
        sealed = [self.cipher.seal(key, self._nonce(nonce, secret, lane), b"", part) for lane, part in enumerate(parts)]
        locked, tags = (self._join(list(each)) for each in zip(*sealed, strict=True))
        return Locked(locked + tags, nonce, self._head_tag(nonce, head, key, bytes_per_beat, clear))

    def wrap(self, terms: bytes, model_key: bytes, device_key: bytes, bytes_per_beat: int) -> Locked:
        """A licence: a model key for the holder of a device key, bound to its terms. The nonce is the operating system's."""
        nonce = self.nonce_of(secrets.token_bytes, bytes_per_beat)
        return self.seal_under(nonce, terms, model_key, device_key, bytes_per_beat, _LICENCE)

    def unwrap(self, licence: Locked, terms: bytes, device_key: bytes, bytes_per_beat: int) -> bytes | None:
        """The model key; None if licence and terms are not what was made with `device_key`."""
        if not self.trusts(licence.nonce, terms, licence.head_tag, device_key, bytes_per_beat, TERMS):
            return None
        return self.open_parameters(licence.nonce, licence.parameters, device_key, bytes_per_beat, MODEL_KEY)

    def trusts(
        self, nonce: bytes, head: bytes, tag: bytes, key: bytes, bytes_per_beat: int, message: int = HEAD
    ) -> bool:
        self.check_key(len(key))
        fixed = nonce[:1] + nonce[self.cipher.NONCE_BYTES :]
        return hmac.compare_digest(self._head_tag(nonce, head, key, bytes_per_beat, message), tag) and not any(fixed)

    def open_parameters(
        self, nonce: bytes, locked: bytes, key: bytes, bytes_per_beat: int, message: int = PARAMETERS
    ) -> bytes | None:
        self.check_key(len(key))
        end = len(locked) - self.tag_bytes(bytes_per_beat)
        opened = [
            self.cipher.open(key, self._nonce(nonce, message, lane), b"", part)
            for lane, part in enumerate(self._split(locked[:end], self._lanes(bytes_per_beat)))
        ]
        plain, tags = (self._join(list(each)) for each in zip(*opened, strict=True))
        return plain if hmac.compare_digest(tags, locked[end:]) else None
