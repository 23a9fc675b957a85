"""Keys of devices and of models: what suites are given is derived from what key files hold (docs/licensing.md)."""

from typing import Literal

from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from deeplock.pymodel.lock.suites import suite

__all__ = ["Purpose", "suite_key"]

Purpose = Literal["device", "model"]


def suite_key(key: bytes, name: str, purpose: Purpose) -> bytes:
    """The key that the suite of that name uses: for `device` it wraps licences, for `model` it seals loadables.

    Of a suite that seals, it is derived (HKDF with SHA-256, RFC 5869, no salt, info "deeplock SUITE PURPOSE"), so that no two
    suites and no two purposes share one. The suite of the papers takes the key as it is.
    """
    suite(name).check_key(len(key))
    if not suite(name).seals:
        return key
    derived = HKDF(key, suite(name).key_sizes[-1], b"", SHA256, context=f"deeplock {name} {purpose}".encode())
    assert isinstance(derived, bytes)
    return derived
