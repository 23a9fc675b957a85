"""Suite `deep-lock`, the paper's (Deep-Lock, arXiv 2008.05966): no nonce, no integrity; a scheme to study."""

import numpy as np

from deeplock.pymodel.lock.key_schedule import KEY_SIZES, expand_key, expand_keys
from deeplock.pymodel.lock.sbox import SBOX, check_bijection, invert
from deeplock.pymodel.lock.suite import ByteSuite

__all__ = ["SUITE", "DeepLock"]


class DeepLock(ByteSuite):
    """Byte i of a stream is locked with byte i of the endless key expansion: locked = S[plain ^ k], plain = INV_S[locked] ^ k.

    sbox   S, uint8 [256]: AES's, the only one in hardware, or another bijection for experiments
    """

    name = "deep-lock"
    id = 1
    key_sizes = KEY_SIZES

    def __init__(self, sbox: np.ndarray = SBOX):
        self.sbox: np.ndarray = check_bijection(sbox)
        self.inv_sbox = invert(self.sbox)

    def _lock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        return self.sbox[data ^ expand_key(key, data.shape[-1])]

    def _unlock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        return self.inv_sbox[data] ^ expand_key(key, data.shape[-1])

    def _unlock_many(self, data: np.ndarray, keys: np.ndarray) -> np.ndarray:
        return self.inv_sbox[data] ^ expand_keys(keys, len(data))


SUITE = DeepLock()
