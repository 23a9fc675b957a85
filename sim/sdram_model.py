"""A model of a SDRAM of 32 MB that reports misuse, and its pins in a cocotb simulation.

Source: Micron MT48LC16M16A2 data sheet, AC characteristics of speed grade -75; of other makers' chips the longer times.
"""

from typing import Any, NoReturn

import cocotb
from cocotb.triggers import RisingEdge, Timer
from cocotb.utils import get_sim_time

__all__ = ["SdramChip", "SdramError", "run_sdram"]

_TRP, _TRCD, _TRFC, _TRAS, _TRC, _TWR = 21, 21, 70, 45, 65, 15
_ROW_OPEN_NS = 100_000
_REFRESHES, _RETENTION_NS = 8192, 64_000_000
_MODE_CLOCKS, _CAS_LATENCY = 2, 3
_MODE = 0x030
OUTPUT_NS = 5.4
"""tAC, from the clock to a word."""


class SdramError(AssertionError):
    """The SDRAM was used against its data sheet."""


class SdramChip:
    """The chip at the level of rising clock edges.

    dead       it never drives its data pins
    power_up   nanoseconds until it takes commands

    Rows hold what was written; other words read as DEADh. The refreshes that are due are counted from the first one on.
    """

    def __init__(self, dead: bool = False, power_up: float = 200_000) -> None:
        self._dead, self._words = dead, {}
        self._open: dict[int, tuple[int, float]] = {}  # row and time of each open bank
        self._free = [0.0] * 4  # when a bank may be activated
        self._written = [-1e9] * 4  # last write
        self._busy_until = power_up
        self._activated = [-1e9] * 4
        self._started: list[str] = []
        self._refreshes = 0
        self._first_refresh = 0.0
        self._pipe: list[int | None] = [None] * _CAS_LATENCY
        self._driven = False  # by the chip, until this edge
        self._mode_left = 0
        self.reads = self.writes = 0

    def rise(self, now: float, ras: int, cas: int, we: int, bank: int, a: int, dq: int | None) -> int | None:
        """A clock edge: pins as levels, so 0 asserts a command; `dq` if the host drives it. Returns what the chip drives until
        the next edge, or None."""
        self._pipe = [*self._pipe[1:], None]
        command = (ras, cas, we)
        if self._mode_left:
            self._mode_left -= 1
        if command != (1, 1, 1):
            if self._mode_left:
                raise SdramError("a command too soon after the mode register was set")
            if now < self._busy_until:
                raise SdramError(f"command {command} {self._busy_until - now:.1f} ns too early")
            self._run(command, now, bank, a, dq)
        if (self._pipe[0] is not None or self._driven) and dq is not None:
            raise SdramError("host and chip both drive the data pins")
        self._driven = self._pipe[0] is not None
        return None if self._dead else self._pipe[0]

    def _run(self, command: tuple[int, int, int], now: float, bank: int, a: int, dq: int | None) -> None:
        match command:
            case (0, 1, 0):
                banks = range(4) if a >> 10 & 1 else [bank]
                self._precharge(now, banks)
                self._started.append("precharge")
            case (0, 0, 1):
                if self._open or now < max(self._free):
                    raise SdramError("refreshed while a row is open or closing")
                self._busy_until = now + _TRFC
                self._first_refresh = self._first_refresh or now
                self._refreshes += 1
                self._started.append("refresh")
            case (0, 0, 0):
                if self._started[:1] != ["precharge"] or self._started.count("refresh") < 2:
                    raise SdramError("mode register set before a precharge and two refreshes")
                if a != _MODE:
                    raise SdramError(f"mode {a:03X}h is not that of CAS latency 3 and bursts of one word")
                self._mode_left = _MODE_CLOCKS
                self._started.append("mode")
            case (0, 1, 1):
                self._activate(now, bank, a)
            case (1, 0, 1) | (1, 0, 0):
                self._access(command[2] == 0, now, bank, a, dq)
            case _:
                raise SdramError(f"command {command} is not known")

    def _precharge(self, now: float, banks) -> None:
        for bank in banks:
            if bank in self._open:
                row, since = self._open.pop(bank)
                if now - since < _TRAS:
                    raise SdramError(f"row {row} closed {now - since:.1f} ns after it was opened")
                if now - since > _ROW_OPEN_NS:
                    raise SdramError(f"row {row} open for {now - since:.0f} ns")
                if now - self._written[bank] < _TWR:
                    raise SdramError(f"row {row} closed {now - self._written[bank]:.1f} ns after a write")
            self._free[bank] = now + _TRP

    def _activate(self, now: float, bank: int, a: int) -> None:
        if "mode" not in self._started:
            raise SdramError("a row was opened before the mode register was set")
        if bank in self._open:
            raise SdramError(f"bank {bank} has an open row")
        if now < self._free[bank] or now - self._activated[bank] < _TRC:
            raise SdramError(f"bank {bank} opened too early")
        owed = (now - self._first_refresh) * _REFRESHES / _RETENTION_NS
        if self._refreshes + 8 < owed:
            raise SdramError(f"{self._refreshes} refreshes where {owed:.0f} are due")
        self._open[bank], self._activated[bank] = (a, now), now

    def _access(self, writes: bool, now: float, bank: int, a: int, dq: int | None) -> None:
        if bank not in self._open:
            raise SdramError(f"bank {bank} has no open row")
        row, since = self._open[bank]
        if now - since < _TRCD:
            raise SdramError(f"row {row} used {now - since:.1f} ns after it was opened")
        if a >> 10:
            raise SdramError("auto precharge is not what this model knows")
        place = (bank, row, a & 0x1FF)
        if writes:
            if dq is None:
                raise SdramError("a write without data")
            self._words[place], self._written[bank] = dq, now
            self.writes += 1
        else:
            if dq is not None:
                raise SdramError("the host drives the data pins during a read")
            self._pipe[-1] = self._words.get(place, 0xDEAD)
            self.reads += 1


async def run_sdram(chip: SdramChip, clk: Any, command: Any, bank: Any, a: Any, o: Any, oe: Any, i: Any) -> NoReturn:
    """Connect a chip to the pins of a design in a cocotb simulation. Never returns: start it as a task.

    clk, command   driven by the design; `command`: levels of RAS, CAS and WE, bits 0 to 2
    o, oe, i       the design's side of the data pins
    """

    async def drive(value: int) -> None:
        await Timer(OUTPUT_NS, unit="ns")
        i.value = value

    i.value = 0
    while True:
        await RisingEdge(clk)
        levels = int(command.value)
        if int(oe.value):  # the pins show what the design drives
            i.value = int(o.value)
        word = chip.rise(
            get_sim_time("ns"),
            levels & 1,
            levels >> 1 & 1,
            levels >> 2,
            int(bank.value),
            int(a.value),
            int(o.value) if int(oe.value) else None,
        )
        if word is not None:
            cocotb.start_soon(drive(word))
