"""Suite `tinyjambu` in hardware."""

from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from deeplock.hw.lock.sealed import SealedLock
from deeplock.pymodel.lock.ciphers.tinyjambu import NONCE_BYTES
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]

_STEPS = 128
"""A cycle: a word of 32 bits in 8 cycles, as fast as the flash of the boards that it is for."""


class Lock(SealedLock):
    """Latency and throughput: see SealedLock and TinyJambu."""

    def __init__(self, config: Config):
        super().__init__(config, TinyJambu(config.bytes_per_beat, _STEPS), NONCE_BYTES)
