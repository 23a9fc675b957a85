"""Suite `plain`: no lock. The baseline of every overhead figure."""

import numpy as np

from deeplock.pymodel.lock.suite import ByteSuite

__all__ = ["SUITE"]


class Plain(ByteSuite):
    name = "plain"
    id = 0

    def _lock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        return data.copy()

    def _unlock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        return data.copy()


SUITE = Plain()
