"""The sizes that a cipher demands."""

from deeplock.pymodel.errors import DeeplockError

__all__ = ["KEY_BYTES", "check_sizes"]

KEY_BYTES = 16


def check_sizes(key: bytes, nonce: bytes, nonce_bytes: int) -> None:
    """Raise DeeplockError, naming the rule and the size, unless key and nonce are right."""
    for name, value, size in (("key", key, KEY_BYTES), ("nonce", nonce, nonce_bytes)):
        if len(value) != size:
            raise DeeplockError(f"{name} must be {size} bytes, not {len(value)}")
