"""Suite `acorn` in hardware."""

from deeplock.hw.lock.ciphers.acorn import Acorn
from deeplock.hw.lock.sealed import SealedLock
from deeplock.pymodel.lock.ciphers.acorn import NONCE_BYTES
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(SealedLock):
    """Latency and throughput: see SealedLock and Acorn."""

    def __init__(self, config: Config):
        super().__init__(config, Acorn(config.bytes_per_beat), NONCE_BYTES)
