"""Base classes of the lock suites in the model; the suites are in suites/, one file each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["ByteSuite", "Locked", "Suite"]


@dataclass(frozen=True)
class Locked:
    """What a suite makes of a loadable. The stream is: nonce, head, head_tag, parameters.

    nonce       b"" if the suite does not seal
    head_tag    b"" if the suite does not seal
    parameters  locked; of a suite that seals, their tag follows
    """

    parameters: bytes
    nonce: bytes = b""
    head_tag: bytes = b""


class Suite(ABC):
    """A way to lock a loadable with a master key.

    name        name for users
    id          number in the loadable's header and in register GEOMETRY, 0..255; 0 is `plain`
    key_sizes   sizes of its master keys in bytes, ascending; empty if it does not lock
    seals       a changed or foreign stream is refused; else it is taken, and gives garbage
    sbox        uint8 [256], the substitution that locks a byte, if the suite has one
    """

    name: str
    id: int
    key_sizes: tuple[int, ...] = ()
    seals: bool = False
    sbox: np.ndarray | None = None

    @property
    def locks(self) -> bool:
        """False if the suite takes no key and leaves the bytes as they are."""
        return bool(self.key_sizes)

    def check_key(self, size: int) -> None:
        """Raise DeeplockError if a key of so many bytes is none of this suite's."""
        if size and not self.locks:
            raise DeeplockError(f"suite {self.name} takes no key")
        if self.locks and size not in self.key_sizes:
            *others, last = map(str, self.key_sizes)
            sizes = f"{', '.join(others)} or {last}" if others else last
            raise DeeplockError(f"key must be {sizes} bytes, not {size}")

    def nonce_bytes(self, bytes_per_beat: int) -> int:
        """Bytes in front of the head: whole beats."""
        return 0

    def tag_bytes(self, bytes_per_beat: int) -> int:
        """Bytes of the tag behind the head, and behind the parameters: whole beats."""
        return 0

    @abstractmethod
    def lock_loadable(self, head: bytes, parameters: bytes, key: bytes, bytes_per_beat: int) -> Locked:
        """Lock plain parameters, whole beats, behind their head. `key` is b"" if the suite does not lock."""

    @abstractmethod
    def trusts(self, nonce: bytes, head: bytes, tag: bytes, key: bytes, bytes_per_beat: int) -> bool:
        """Whether a head is what was sealed with `key` under `nonce`; True if the suite does not seal."""

    @abstractmethod
    def open_parameters(self, nonce: bytes, locked: bytes, key: bytes, bytes_per_beat: int) -> bytes | None:
        """Plain parameters, from locked ones with their tag. None if they are not what was sealed with `key`."""


class ByteSuite(Suite):
    """A suite that locks each byte on its own: no nonce, no integrity. It locks checkpoints too."""

    def lock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        """Lock uint8 [..., n], each row on its own. `key` is b"" if the suite does not lock."""
        self._check(data, len(key))
        return self._lock(data, key)

    def unlock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        """Unlock uint8 [..., n]: the inverse of `lock` with the same key."""
        self._check(data, len(key))
        return self._unlock(data, key)

    def unlock_many(self, data: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Unlock the same uint8 [n] with each of k keys, uint8 [k, key size]: uint8 [k, n]."""
        self._check(data, keys.shape[1])
        return self._unlock_many(data, keys)

    def lock_loadable(self, head: bytes, parameters: bytes, key: bytes, bytes_per_beat: int) -> Locked:
        return Locked(self.lock(np.frombuffer(parameters, np.uint8), key).tobytes())

    def trusts(self, nonce: bytes, head: bytes, tag: bytes, key: bytes, bytes_per_beat: int) -> bool:
        return True

    def open_parameters(self, nonce: bytes, locked: bytes, key: bytes, bytes_per_beat: int) -> bytes:
        return self.unlock(np.frombuffer(locked, np.uint8), key).tobytes()

    def _check(self, data: np.ndarray, key_size: int) -> None:
        if data.dtype != np.uint8:
            raise ValueError(f"data must be uint8, not {data.dtype}")
        self.check_key(key_size)

    @abstractmethod
    def _lock(self, data: np.ndarray, key: bytes) -> np.ndarray: ...

    @abstractmethod
    def _unlock(self, data: np.ndarray, key: bytes) -> np.ndarray: ...

    def _unlock_many(self, data: np.ndarray, keys: np.ndarray) -> np.ndarray:
        return np.array([self._unlock(data, key.tobytes()) for key in keys], np.uint8).reshape(len(keys), len(data))
