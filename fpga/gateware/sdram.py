"""SDRAM controller: reads and writes words of a chip, with one row open at a time."""

from math import ceil, floor

from amaranth import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["SDRAM_BYTES", "WORD_BYTES", "Sdram", "SdramPins"]

_COLUMN, _BANK, _ROW = 9, 2, 13
"""Bits of the address of a word. A chip with more columns uses the first 512 of each row."""
WORD_BYTES = 2
SDRAM_BYTES = WORD_BYTES << _COLUMN + _BANK + _ROW

_POWER_UP = 200e-6
"""Seconds from power-up to the first command."""
_PRECHARGE, _ACTIVATE, _REFRESH, _WRITE_RECOVERY = 21e-9, 21e-9, 70e-9, 15e-9
"""Seconds: tRP, tRCD, tRFC, tWR."""
_REFRESH_INTERVAL = 64e-3 / (1 << _ROW)
_MODE_CYCLES = 2
_MODE = 3 << 4
"""Mode register: CAS latency 3, bursts of one word."""
_PATTERN = (0xA55A, 0x0FF0, 0x3C96, 0x5AC3)
"""What the first words are while the controller looks for the latency of a read."""
_TIMES = 8
"""How often it must be read right in succession, with the same latency."""
_LONGEST = 15
"""Most cycles from a command in `SdramPins` to its word in `i`."""


def _access_layout() -> data.StructLayout:
    """A read or a write of the word at `address`, in words."""
    return data.StructLayout({"write": 1, "address": _COLUMN + _BANK + _ROW, "data": 8 * WORD_BYTES})


class SdramPins(wiring.Signature):
    """A SDRAM with words of 16 bits, seen from the controller. The board registers each member once more at its pin, or more
    often, but all alike, and gives the chip a clock that rises in the middle of the cycle. It samples `dq` in the middle too.

    Members:
        command   RAS, CAS and WE, bits 0 to 2; high where the pin is low
        bank, a   address
        o, oe     to the data pins
        i         from them
    """

    def __init__(self):
        super().__init__(
            {
                "command": Out(3),
                "bank": Out(_BANK),
                "a": Out(_ROW),
                "o": Out(8 * WORD_BYTES),
                "oe": Out(1),
                "i": In(8 * WORD_BYTES),
            }
        )


class _Command(enum.Enum, shape=3):
    """As in SdramPins.command."""

    NONE = 0b000
    MODE = 0b111
    REFRESH = 0b011
    PRECHARGE = 0b101
    ACTIVATE = 0b001
    WRITE = 0b110
    READ = 0b010


class _State(enum.Enum):
    CLOSED = 0  # no row is open, and the chip can take a command
    OPEN = 1
    CLOSING = 2
    WAIT = 3  # for the chip


class Sdram(wiring.Component):
    """Starts the chip, refreshes it, and passes accesses on. After the start it writes a pattern to the first words and reads
    it until it has appeared several times, which gives the cycles that a read takes on this board. If it does not appear there
    is no chip, and `accesses` is never ready.

    Commands and times fit the chips of 32 MB and more of ULX3S and iCESugar-Pro: Micron MT48LC16M16A2-75, Alliance
    AS4C16M16SA-7 and AS4C32M16SB-7, Winbond W9825G6KH-6, ISSI IS42S16160G-7 (their data sheets' tables of AC characteristics).

    Latency: of a read 2 cycles, that of the chip, 3 cycles, and that of the pins; the last two at most 15 in all. Throughput:
    an access a cycle within a row of 512 words. At its end, and every 7.8 us for a refresh, come up to 15 cycles. A write waits
    until no word is on its way.

    clock_hz   20 to 133 MHz
    power_up   seconds from a reset to the first command

    Members:
        accesses   reads and writes
        read       the words that were read, in order
        ready      the chip has been found
        pins       see SdramPins
    """

    def __init__(self, clock_hz: int, power_up: float = _POWER_UP):
        if not 20e6 <= clock_hz <= 133e6:
            raise ValueError(f"clock_hz must be 20 to 133 MHz for a SDRAM, not {clock_hz}")
        self._hz, self._power_up = clock_hz, power_up
        super().__init__(
            {
                "accesses": In(stream.Signature(_access_layout())),
                "read": Out(stream.Signature(8 * WORD_BYTES, always_ready=True)),
                "ready": Out(1),
                "pins": Out(SdramPins()),
            }
        )

    def _cycles(self, seconds: float) -> int:
        """From a command to the next one: 2 at least, because a state lies between."""
        return max(2, ceil(seconds * self._hz))

    def elaborate(self, platform) -> Module:
        m = Module()
        pins = self.pins
        on_way, taken = Signal(_LONGEST + 1), Signal()  # reads, newest first
        reading = Signal()  # some are
        m.d.sync += [on_way.eq(on_way << 1), reading.eq(on_way.any())]
        coming, comes, takes = Signal(_access_layout()), Signal(), Signal()
        tap = self._searched(m, on_way, coming, comes, takes)

        # behind a register, because of the comparison of rows: accesses follow in order, so the one before has opened its own
        access, valid, here = Signal(_access_layout(), reset_less=True), Signal(), Signal()
        m.d.comb += takes.eq(~valid | taken)
        with m.If(takes):
            m.d.sync += valid.eq(comes)
            with m.If(comes):
                m.d.sync += [access.eq(coming), here.eq(coming.address[_COLUMN:] == access.address[_COLUMN:])]

        # a refresh comes some cycles late, but not on average
        interval = floor(_REFRESH_INTERVAL * self._hz)
        until, due = Signal(range(interval)), Signal()
        m.d.sync += until.eq(Mux(until == interval - 1, 0, until + 1))
        with m.If(until == interval - 1):
            m.d.sync += due.eq(1)

        state, after = Signal(_State, init=_State.WAIT), Signal(_State, init=_State.CLOSED)
        power_up = self._cycles(self._power_up)
        left = Signal(range(power_up), init=power_up - 1)

        # before the first access: close all rows, refresh 8 times, set the mode
        start = [(_Command.PRECHARGE, _PRECHARGE), *[(_Command.REFRESH, _REFRESH)] * 8, (_Command.MODE, 0.0)]
        begun = Signal(range(len(start) + 1))

        def wait(cycles: int, then: _State) -> None:
            m.d.sync += [state.eq(_State.WAIT), left.eq(cycles - 2), after.eq(then)]

        m.d.sync += [pins.command.eq(_Command.NONE), pins.oe.eq(0), pins.o.eq(access.data)]
        with m.Switch(state):
            with m.Case(_State.WAIT):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += state.eq(after)
            with m.Case(_State.CLOSED):
                with m.If(begun != len(start)):
                    commands, times = zip(*start, strict=True)
                    m.d.sync += [begun.eq(begun + 1), pins.command.eq(Array(C(c.value, 3) for c in commands)[begun])]
                    m.d.sync += pins.a.eq(Mux(begun == 0, 1 << 10, _MODE))  # all banks; refreshes have no address
                    m.d.sync += pins.bank.eq(0)
                    wait(max(_MODE_CYCLES, *map(self._cycles, times)), _State.CLOSED)
                with m.Elif(due):
                    m.d.sync += [pins.command.eq(_Command.REFRESH), due.eq(until == interval - 1)]
                    wait(self._cycles(_REFRESH), _State.CLOSED)
                with m.Elif(valid):
                    m.d.sync += pins.command.eq(_Command.ACTIVATE)
                    m.d.sync += [Cat(pins.bank, pins.a).eq(access.address[_COLUMN:]), here.eq(1)]
                    wait(self._cycles(_ACTIVATE), _State.OPEN)
            with m.Case(_State.OPEN):
                with m.If(due | (valid & ~here)):
                    # the last write has to end; tRAS, 45 ns, is then over, too
                    wait(self._cycles(_WRITE_RECOVERY) + 1, _State.CLOSING)
                with m.Elif(valid & ~(access.write & reading)):
                    m.d.comb += taken.eq(1)
                    m.d.sync += [
                        pins.command.eq(Mux(access.write, _Command.WRITE, _Command.READ)),
                        pins.oe.eq(access.write),
                        pins.bank.eq(access.address[_COLUMN:]),
                        pins.a.eq(access.address[:_COLUMN]),
                        on_way[0].eq(~access.write),
                        reading.eq(~access.write | on_way.any()),
                    ]
            with m.Case(_State.CLOSING):
                m.d.sync += [pins.command.eq(_Command.PRECHARGE), pins.a.eq(1 << 10)]
                wait(self._cycles(_PRECHARGE), _State.CLOSED)

        # a word comes with the read at the place of `tap`
        m.d.comb += [
            self.read.valid.eq((on_way & tap).any() & self.ready),
            self.read.payload.eq(pins.i),
        ]
        return m

    def _searched(self, m: Module, on_way: Signal, access: data.View, comes: Signal, takes: Signal) -> Signal:
        """Give the `access` that `comes` next; returns where in `on_way` a read is when its word comes. Until the pattern has
        been found, accesses write it and read it, again and again."""
        count = len(_PATTERN)
        # accesses, then nothing until their words have passed the pins, which show what is written, too
        phase = count + _LONGEST + 4
        step, reads = Signal(range(phase)), Signal()
        seen, tap = Signal(range(count)), Signal.like(on_way)  # words of the pattern, one after the other
        found, times = Signal(), Signal(range(_TIMES))
        own, place = Signal(_access_layout()), on_way & ~(on_way << 1)
        accesses, ends = step < count, takes & (step == phase - 1)
        pattern = Array(C(word, 8 * WORD_BYTES) for word in _PATTERN)
        matches = self.pins.i == pattern[seen]
        m.d.comb += [
            own.write.eq(~reads),
            own.address.eq(step),
            own.data.eq(pattern[step[: ceil_log2(count)]]),
            access.eq(Mux(self.ready, self.accesses.payload, own)),
            comes.eq(Mux(self.ready, self.accesses.valid, accesses)),
            self.accesses.ready.eq(self.ready & takes),
        ]
        with m.If(~self.ready):
            with m.If(takes):
                m.d.sync += [step.eq(Mux(ends, 0, step + 1)), reads.eq(reads ^ ends)]
            m.d.sync += seen.eq(Mux(matches, seen + 1, self.pins.i == _PATTERN[0]))
            with m.If(ends & reads):
                m.d.sync += [found.eq(0), times.eq(Mux(found, times + 1, 0))]
                m.d.sync += self.ready.eq(found & (times == _TIMES - 1))
            with m.If(matches & (seen == count - 1) & on_way.any()):
                m.d.sync += [found.eq(1), tap.eq(place)]
                with m.If(tap != place):
                    m.d.sync += times.eq(0)
        return tap
