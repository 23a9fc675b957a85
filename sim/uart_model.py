"""The host's end of a UART in a cocotb simulation."""

from contextlib import suppress
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, Timer, with_timeout

__all__ = ["UartModel"]


class UartModel:
    """A UART with 8 data bits, no parity, one stop bit. It is a fpga.host.client.Pipe.

    to_board, from_board   the lines, as seen from the host
    baud                   bits per second; a bit is rounded to whole nanoseconds
    name                   for messages

    Members:
        damage_sent, damage_received   numbers, from 0, of the bytes in which a bit is inverted
        sent, received                 bytes so far
        framing_errors                 bytes without a stop bit so far; they are dropped
    """

    def __init__(self, to_board: Any, from_board: Any, baud: int, name: str = "uart") -> None:
        self.name = name
        self.damage_sent: set[int] = set()
        self.damage_received: set[int] = set()
        self.sent = self.received = self.framing_errors = 0
        self._to_board, self._from_board = to_board, from_board
        self._bit_ns = round(1e9 / baud)
        self._bytes: Queue[int] = Queue()
        to_board.value = 1
        cocotb.start_soon(self._listen())

    async def send(self, data: bytes) -> None:
        """Put bytes on the line without a gap; returns after the last stop bit."""
        for byte in data:
            if self.sent in self.damage_sent:
                byte ^= 1 << self.sent % 8
            self.sent += 1
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                self._to_board.value = bit
                await Timer(self._bit_ns, unit="ns")

    async def receive(self, count: int, timeout: float) -> bytes:
        """The next `count` bytes, or those that came within `timeout` seconds of simulated time."""
        data = bytearray()

        async def collect() -> None:
            while len(data) < count:
                data.append(await self._bytes.get())

        with suppress(SimTimeoutError):
            await with_timeout(collect(), round(timeout * 1e9), "ns")
        return bytes(data)

    async def _listen(self) -> None:
        line, bit = self._from_board, self._bit_ns
        while True:
            await FallingEdge(line)
            await Timer(bit // 2, unit="ns")
            if line.value:  # a glitch
                continue
            byte = 0
            for index in range(8):
                await Timer(bit, unit="ns")
                byte |= int(line.value) << index
            await Timer(bit, unit="ns")
            if not line.value:
                self.framing_errors += 1
                await RisingEdge(line)
                continue
            if self.received in self.damage_received:
                byte ^= 1 << self.received % 8
            self.received += 1
            self._bytes.put_nowait(byte)
