"""Suite `tinyjambu`: TinyJAMBU-128 v2, a finalist of NIST's lightweight cryptography, in lanes of 32 bits: the smallest.

Its tags have 64 bits.
"""

from deeplock.pymodel.lock.ciphers import tinyjambu
from deeplock.pymodel.lock.sealing import SealedSuite

__all__ = ["SUITE"]

SUITE = SealedSuite("tinyjambu", 4, tinyjambu, laned=True)
