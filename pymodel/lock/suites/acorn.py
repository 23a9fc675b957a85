"""Suite `acorn`: ACORN-128 v3, of CAESAR's portfolio, in lanes of 32 bits: a beat of parameters a cycle."""

from deeplock.pymodel.lock.ciphers import acorn
from deeplock.pymodel.lock.sealing import SealedSuite

__all__ = ["SUITE"]

SUITE = SealedSuite("acorn", 3, acorn, laned=True)
