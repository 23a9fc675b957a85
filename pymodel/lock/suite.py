"""Base class of the lock suites in the model; the suites are in suites/, one file each."""

from abc import ABC, abstractmethod

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Suite"]


class Suite(ABC):
    """A way to lock and unlock a stream of parameter bytes with a master key.

    name        name for users
    id          number in the loadable's header and in register GEOMETRY, 0..255; 0 is `plain`
    key_sizes   sizes of its master keys in bytes, ascending; empty if it does not lock
    sbox        uint8 [256], the substitution that locks a byte, if the suite has one
    """

    name: str
    id: int
    key_sizes: tuple[int, ...] = ()
    sbox: np.ndarray | None = None

    @property
    def locks(self) -> bool:
        """False if the suite takes no key and leaves the bytes as they are."""
        return bool(self.key_sizes)

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

    def _check(self, data: np.ndarray, key_size: int) -> None:
        if data.dtype != np.uint8:
            raise ValueError(f"data must be uint8, not {data.dtype}")
        if key_size and not self.locks:
            raise DeeplockError(f"suite {self.name} takes no key")
        if self.locks and key_size not in self.key_sizes:
            *others, last = map(str, self.key_sizes)
            sizes = f"{', '.join(others)} or {last}" if others else last
            raise DeeplockError(f"key must be {sizes} bytes, not {key_size}")

    @abstractmethod
    def _lock(self, data: np.ndarray, key: bytes) -> np.ndarray: ...

    @abstractmethod
    def _unlock(self, data: np.ndarray, key: bytes) -> np.ndarray: ...

    def _unlock_many(self, data: np.ndarray, keys: np.ndarray) -> np.ndarray:
        return np.array([self._unlock(data, key.tobytes()) for key in keys], np.uint8).reshape(len(keys), len(data))
