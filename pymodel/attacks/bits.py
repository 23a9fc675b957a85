"""Bits of bytes."""

__all__ = ["flip"]


def flip(data: bytes, bit: int) -> bytes:
    """The bytes with one bit changed; bit 0 is the highest of byte 0."""
    changed = bytearray(data)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)
