"""The protocol between host and board: its frames, commands and codes are defined here and nowhere else.

fpga/gateware/framer.py, fpga/gateware/link.py, fpga/host/client.py and the tables of docs/link.md are made from them.
"""

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from amaranth.lib.crc.catalog import CRC16_MCRF4XX

__all__ = [
    "ANSWER_SYNC",
    "BYTE_TIMEOUT",
    "COMMANDS",
    "CRC",
    "CRC_BYTES",
    "HEADER_BYTES",
    "ITEM_BYTES",
    "MAX_PAYLOAD",
    "REQUEST_SYNC",
    "SEQUENCES",
    "VERSION",
    "Command",
    "Frame",
    "Info",
    "State",
    "markdown_tables",
    "read_item",
    "stream_item",
    "write_item",
]  # fmt: skip

VERSION = 1
REQUEST_SYNC = 0xD1
ANSWER_SYNC = 0x1D
HEADER_BYTES = 3
CRC_BYTES = 2
CRC = CRC16_MCRF4XX(data_width=8)
"""CRC of all between sync and CRC. Over these and the CRC, low byte first, it gives CRC.residue(), 0."""
MAX_PAYLOAD = 255
SEQUENCES = 16
BYTE_TIMEOUT = 0.01
"""Seconds of silence within a request after which the board forgets it: at least this long, at most twice as long."""


class Command(IntEnum):
    """Code of a request."""

    INFO = 0
    RECEIVE = 1
    RESET = 2
    READ = 3
    SEND = 4
    SEND_LAST = 5
    WRITE = 6
    STREAM = 7


ITEM_BYTES = {Command.READ: 1, Command.WRITE: 5, Command.STREAM: 6}
"""Payloads are rows of items of one size; an item of SEND and SEND_LAST is a beat of the ifmap stream."""

COMMANDS = {
    Command.INFO: ("none", "version, 1 byte; clock in Hz, 4 bytes; board in ASCII, 11 bytes", "identify the board"),
    Command.RECEIVE: ("none", "ofmap bytes", "fetch the waiting results, up to the end of an ofmap"),
    Command.RESET: ("none", "none", "reset the accelerator, which forgets its key, and stop STREAM"),
    Command.READ: ("register address / 4, 1 byte", "values, 4 bytes each", "read registers"),
    Command.SEND: ("a beat of the ifmap", "none", "send a part of an ifmap to the accelerator"),
    Command.SEND_LAST: ("a beat of the ifmap", "none", "send the last part of an ifmap"),
    Command.WRITE: ("register address / 4, 1 byte; value, 4 bytes", "none", "write registers"),
    Command.STREAM: (
        "address and length in bytes, 3 bytes each",
        "none",
        "stream this range of the flash, in whole beats, to the accelerator over and over, with `last` at its end",
    ),
}
"""Item of the request's payload, data of the answer, meaning."""


class State(IntFlag):
    """Code of an answer."""

    REFUSED = 1 << 0
    LAST = 1 << 1
    OFMAP = 1 << 2
    IFMAP = 1 << 3


STATES = {
    State.REFUSED: "an item, and all after it, had no effect; or the command is unknown",
    State.LAST: "the data end an ofmap",
    State.OFMAP: "more ofmap bytes wait",
    State.IFMAP: "the accelerator takes ifmap bytes",
}


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(data: bytes) -> int:
    """CRC.compute, 500 times as fast: Python's CRC-16 has the same polynomial, but the opposite bit order."""
    mirrored = binascii.crc_hqx(data.translate(_MIRRORED), CRC.algorithm.initial_crc)
    return int.from_bytes(mirrored.to_bytes(CRC_BYTES, "big").translate(_MIRRORED), "little")


@dataclass(frozen=True)
class Frame:
    """sync | sequence << 4, code | length of the payload | payload | CRC, low byte first, of all between sync and CRC.

    sequence   0 to 15; an answer has that of its request
    code       Command of a request, State of an answer
    payload    0 to 255 bytes
    """

    sequence: int
    code: int
    payload: bytes = b""

    def encode(self, sync: int) -> bytes:
        """The frame as bytes; ValueError if the payload is too long."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"payload must be at most {MAX_PAYLOAD} bytes, not {len(self.payload)}")
        body = bytes((self.sequence << 4 | self.code, len(self.payload))) + self.payload
        return bytes((sync,)) + body + _crc(body).to_bytes(CRC_BYTES, "little")

    @staticmethod
    def decode(data: bytes, sync: int) -> "Frame | None":
        """The frame in `data`; None unless it is exactly one undamaged frame."""
        if len(data) < HEADER_BYTES + CRC_BYTES or data[0] != sync or _crc(data[1:]) != CRC.residue():
            return None
        if data[2] != len(data) - HEADER_BYTES - CRC_BYTES:
            return None
        return Frame(data[1] >> 4, data[1] & 15, data[HEADER_BYTES:-CRC_BYTES])


_INFO = struct.Struct("<BI11s")


class Info(NamedTuple):
    """The answer to INFO.

    version    of this protocol
    clock_hz   of accelerator and link
    board      at most 11 ASCII characters
    """

    version: int
    clock_hz: int
    board: str

    def encode(self) -> bytes:
        """16 bytes; ValueError if the name of the board is too long."""
        if len(self.board) > 11:
            raise ValueError(f"board must be at most 11 characters, not {self.board}")
        return _INFO.pack(self.version, self.clock_hz, self.board.encode("ascii"))

    @staticmethod
    def decode(data: bytes) -> "Info | None":
        """None if `data` is something else."""
        if len(data) != _INFO.size:
            return None
        version, clock_hz, board = _INFO.unpack(data)
        return Info(version, clock_hz, board.rstrip(b"\0").decode("ascii", "replace"))


def read_item(address: int) -> bytes:
    """An item of READ."""
    return bytes((address >> 2,))


def write_item(address: int, value: int) -> bytes:
    """An item of WRITE."""
    return bytes((address >> 2,)) + value.to_bytes(4, "little")


def stream_item(address: int, length: int) -> bytes:
    """The item of STREAM."""
    return address.to_bytes(3, "little") + length.to_bytes(3, "little")


def markdown_tables() -> str:
    """The tables of docs/link.md: frame, commands, states."""
    frame = (
        (1, "sync", f"{REQUEST_SYNC:02X}h in a request, {ANSWER_SYNC:02X}h in an answer"),
        (1, "tag", "bits 7..4: sequence number; bits 3..0: command of a request, state of an answer"),
        (1, "length", "n, bytes of payload"),
        ("n", "payload", "items of a request, data of an answer"),
        (CRC_BYTES, "CRC", "CRC-16/MCRF4XX of tag, length and payload, low byte first"),
    )
    commands = [
        (command.value, command.name, meaning, item, answer) for command, (item, answer, meaning) in COMMANDS.items()
    ]
    states = [(state.value.bit_length() - 1, state.name, meaning) for state, meaning in STATES.items()]
    return "\n".join(
        (
            _table(("bytes", "field", "meaning"), frame),
            _table(("code", "command", "meaning", "item of the payload", "data of the answer"), commands),
            _table(("bit", "state", "meaning"), states),
        )
    )


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)
