"""The key memory of a device that takes licences, and what a bitstream puts there."""

from enum import IntEnum

from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES

__all__ = ["MARK", "PLACES", "Place", "key_rows"]


class Place(IntEnum):
    """Rows of the key memory, each as long as a key."""

    DEVICE = 0  # the device's key
    MODEL = 1  # the model key of the licence that it has taken
    MARK = 2  # MARK, if the device's key came with the bitstream


MARK = b"\xd1" + bytes(KEY_BYTES - 1)
PLACES = 16
"""Rows in all. The last eight hold a pattern, by which the tools that replace a bitstream's memory contents find this one: they
tell each column of bits by what it holds. Nothing reads them."""


def key_rows(device_key: bytes | None) -> list[bytes]:
    """What a bitstream puts into the key memory. device_key: the suite's, or None for a device that gets its key later."""
    rows = [bytes(KEY_BYTES)] * PLACES
    if device_key is not None:
        rows[Place.DEVICE], rows[Place.MARK] = device_key, MARK
    for bit in range(8):
        columns = sum(((column + 1) >> bit & 1) << column for column in range(8 * KEY_BYTES))
        rows[PLACES - 8 + bit] = columns.to_bytes(KEY_BYTES, "little")
    return rows
