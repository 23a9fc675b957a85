"""A model of Winbond's SPI flash W25Q128JV that reports misuse, and its pins in a cocotb simulation.

Source: Winbond W25Q128JV data sheet, sections 7 (status registers), 8 (instructions) and 9.6 (times).
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotb.utils import get_sim_time

__all__ = ["Flash", "FlashError", "run_flash"]

_WAKE_NS, _RESET_NS, _DESELECT_NS = 3_000, 30_000, 10
_OUTPUT_NS = 6
_BYTES = 1 << 24


class FlashError(AssertionError):
    """The flash was used against its data sheet."""


@dataclass(frozen=True)
class _Clocks:
    """A part of a command: `number` clocks that move bits into the flash, or out of it, or neither.

    pins    data pins in use: 1, 2 or 4
    give    bits that the flash drives, or None
    whole   /CS may not rise before its end
    """

    number: int
    pins: int = 1
    give: int | None = None
    whole: bool = False


_Script = Generator[_Clocks, int, None]


class Flash:
    """The flash at the level of clock edges. SPI mode 0: it samples on rising and drives on falling edges.

    content       its bytes from address 0 on; the rest is erased
    dead          it never answers: only the pull-ups of its pins are visible
    quad_enable   opcode and value of the volatile status write that enables quad mode

    It starts in power-down, as an iCE40 leaves it after configuration, with quad mode disabled. Times are in
    nanoseconds. `reads` lists the addresses of the quad and dual reads so far.
    """

    def __init__(
        self, content: bytes, dead: bool = False, jedec_id: bytes = b"\xef\x70\x18", quad_enable: bytes = b"\x31\x02"
    ) -> None:
        self._content, self._dead, self._jedec_id, self._quad_enable = content, dead, jedec_id, quad_enable
        self._asleep, self._quad, self._reset_enabled, self._write_enabled = True, False, False, False
        self._ready_at, self._deselected_at = 0.0, -1e9
        self._script: _Script | None = None
        self._part: _Clocks | None = None
        self._clock = self._value = 0  # within the part
        self._at_end: Callable[[], None] = lambda: None
        self._o = self._oe = 0
        self.reads: list[int] = []

    def wire(self, host_o: int, host_oe: int) -> int:
        """Levels of the four pins. An undriven pin is pulled up; FlashError if both sides drive one."""
        if host_oe & self._oe:
            raise FlashError(f"host and flash both drive pins {host_oe & self._oe:04b}")
        return host_o & host_oe | self._o & self._oe | 0xF & ~host_oe & ~self._oe

    def select(self, now: float) -> None:
        """/CS falls."""
        if self._dead:
            return
        if now < self._deselected_at + _DESELECT_NS:
            raise FlashError(f"selected {now - self._deselected_at} ns after it was deselected")
        if now < self._ready_at:
            raise FlashError(f"selected {self._ready_at - now} ns before it was ready")
        self._script, self._clock, self._value = self._run(), 0, 0
        self._part = next(self._script)

    def deselect(self, now: float) -> None:
        """/CS rises: the command takes effect."""
        if self._script is None:
            return
        if self._part is not None and self._part.whole:
            raise FlashError("deselected in the middle of a write")
        self._deselected_at = self._ready_at = now
        self._script, self._oe = None, 0
        action, self._at_end = self._at_end, lambda: None
        action()

    def rise(self, host_o: int, host_oe: int) -> None:
        """The clock rises."""
        if self._script is None:
            return
        if self._part is None:
            raise FlashError("clocked behind the end of a command")
        pins = self._part.pins
        self._value = self._value << pins | self.wire(host_o, host_oe) & (1 << pins) - 1
        self._clock += 1
        if self._clock == self._part.number:
            value, self._clock, self._value = self._value, 0, 0
            try:
                self._part = self._script.send(value)
            except StopIteration:
                self._part = None

    def fall(self) -> None:
        """The clock falls."""
        part = self._part
        if self._script is None or part is None or part.give is None:
            self._oe = 0
            return
        bits = part.give >> (part.number - 1 - self._clock) * part.pins & (1 << part.pins) - 1
        self._o, self._oe = (bits << 1, 0b0010) if part.pins == 1 else (bits, (1 << part.pins) - 1)

    def _run(self) -> _Script:
        opcode = yield _Clocks(8)
        if self._asleep and opcode != 0xAB:
            raise FlashError(f"command {opcode:02X}h in power-down")
        reset_enabled, self._reset_enabled = self._reset_enabled, False
        write_enabled, self._write_enabled = self._write_enabled, False
        match opcode:
            case 0xAB:
                self._at_end = self._wake
            case 0x66:
                self._reset_enabled = True
            case 0x99:
                if not reset_enabled:
                    raise FlashError("reset (99h) without enable (66h)")
                self._at_end = self._reset
            case 0x9F:
                yield _Clocks(24, give=int.from_bytes(self._jedec_id))
            case 0x50:
                self._write_enabled = True
            case 0x01 | 0x31:
                value = yield _Clocks(8, whole=True)
                if not write_enabled:
                    raise FlashError(f"status write ({opcode:02X}h) without enable (50h)")
                if bytes((opcode, value)) != self._quad_enable:
                    raise FlashError(f"status write {opcode:02X}h {value:02X}h does not enable quad mode")
                self._at_end = self._enable_quad
            case 0x03 | 0x0B:
                address = yield _Clocks(24)
                if opcode == 0x0B:
                    yield _Clocks(8)
                for byte in self._bytes(address):
                    yield _Clocks(8, give=byte)
            case 0x3B:
                address = yield _Clocks(24)
                yield _Clocks(8)
                self.reads.append(address)
                for byte in self._bytes(address):
                    yield _Clocks(4, pins=2, give=byte)
            case 0xEB:
                if not self._quad:
                    raise FlashError("quad read (EBh), but quad mode is disabled")
                address = yield _Clocks(6, pins=4)
                mode = yield _Clocks(2, pins=4)
                if mode & 0x30 == 0x20:
                    raise FlashError(
                        f"mode {mode:02X}h: continuous read, which would take the next opcode for an address"
                    )
                yield _Clocks(4)
                self.reads.append(address)
                for byte in self._bytes(address):
                    yield _Clocks(2, pins=4, give=byte)
            case _:
                raise FlashError(f"unknown command {opcode:02X}h")

    def _bytes(self, address: int) -> Iterator[int]:
        for at in count(address):
            at %= _BYTES
            yield self._content[at] if at < len(self._content) else 0xFF

    def _wake(self) -> None:
        self._asleep = False
        self._ready_at += _WAKE_NS

    def _reset(self) -> None:
        self._quad = False
        self._ready_at += _RESET_NS

    def _enable_quad(self) -> None:
        self._quad = True


async def run_flash(flash: Flash, cs_n: Any, sck: Any, o: Any, oe: Any, i: Any) -> NoReturn:
    """Connect a flash to the pins of a design in a cocotb simulation. Never returns: start it as a task.

    cs_n, sck      driven by the design
    o, oe, i       the design's side of the four data pins
    """

    async def drive() -> None:
        await Timer(_OUTPUT_NS, unit="ns")
        i.value = flash.wire(0, 0)

    async def selections() -> None:
        while True:
            await FallingEdge(cs_n)
            flash.select(get_sim_time("ns"))
            await RisingEdge(cs_n)
            flash.deselect(get_sim_time("ns"))
            cocotb.start_soon(drive())

    async def falls() -> None:
        while True:
            await FallingEdge(sck)
            flash.fall()
            cocotb.start_soon(drive())

    i.value = 0xF
    cocotb.start_soon(selections())
    cocotb.start_soon(falls())
    while True:
        await RisingEdge(sck)
        flash.rise(int(o.value), int(oe.value))
