"""A key check: a salt, and 32 bits of a hash of it and the key. With it, host tools tell a wrong key before they use it.

Suite `deep-lock` verifies nothing, on purpose: whoever guesses a key must run the network to see whether it is right. A key
check makes that one hash (docs/security.md, "A key check").
"""

import hmac
import secrets
from hashlib import sha256

__all__ = ["key_check", "passes"]

_SALT_BYTES, _HASH_BYTES = 16, 4


def _hash(salt: bytes, key: bytes) -> bytes:
    return sha256(b"deeplock key check" + salt + key).digest()[:_HASH_BYTES]


def key_check(key: bytes) -> bytes:
    """A new check of this key, 20 bytes: the salt comes from the operating system."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return salt + _hash(salt, key)


def passes(check: bytes, key: bytes) -> bool:
    """Whether the check is of this key; true of one in 2**32 others."""
    return hmac.compare_digest(_hash(check[:_SALT_BYTES], key), check[_SALT_BYTES:])
