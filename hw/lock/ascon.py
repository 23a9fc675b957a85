"""Suite `ascon` in hardware."""

from deeplock.hw.lock.ciphers.ascon import Ascon
from deeplock.hw.lock.sealed import SealedLock
from deeplock.pymodel.lock.ciphers.ascon import NONCE_BYTES
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(SealedLock):
    """Latency and throughput: see SealedLock and Ascon."""

    def __init__(self, config: Config):
        super().__init__(config, Ascon(config.bytes_per_beat), NONCE_BYTES)
