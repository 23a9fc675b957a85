"""Suite `ascon`: Ascon-AEAD128, NIST SP 800-232: the standard. A beat of the stream is a word of the message."""

from deeplock.pymodel.lock.ciphers import ascon
from deeplock.pymodel.lock.sealing import SealedSuite

__all__ = ["SUITE"]

SUITE = SealedSuite("ascon", 2, ascon, laned=False)
