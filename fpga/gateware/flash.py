"""Reads a range of a SPI flash, over and over, into the loadable stream."""

from dataclasses import dataclass

from amaranth import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import beat_layout

__all__ = ["REQUEST", "FlashReader", "SpiPins"]

REQUEST = data.StructLayout({"address": 24, "length": 24})
"""A range of the flash, in bytes."""

_RECOVERY = 30e-6
"""Seconds: tRST, the longest time that a W25Q128JV is busy after one of the power-up commands."""
_RELEASE_POWER_DOWN, _ENABLE_RESET, _RESET, _JEDEC_ID = 0xAB, 0x66, 0x99, 0x9F
_WRITE_ENABLE_VOLATILE_STATUS = 0x50


@dataclass(frozen=True)
class _Read:
    """A command that reads. Its address comes `lines` bits a clock, then the mode Fh, then clocks for nothing."""

    opcode: int
    lines: int
    mode_clocks: int
    dummy_clocks: int

    @property
    def address_clocks(self) -> int:
        return 24 // self.lines

    @property
    def clocks(self) -> int:
        """From the opcode to the data."""
        return self.address_clocks + self.mode_clocks + self.dummy_clocks


_READS = {4: _Read(0xEB, 4, 2, 4), 2: _Read(0x3B, 1, 0, 8)}
"""By the data lines of the flash: Fast Read Quad I/O; Fast Read Dual Output, which flashes of other makers understand alike."""
_LATENCY = 2
"""Cycles from a pulse of `sck` to its bits in `i`: a register to the pins and one back."""


class SpiPins(wiring.Signature):
    """A SPI flash, seen from the controller. Each member is registered once more at its pin, as by io.FFBuffer.

    Members:
        cs       the flash is selected; its pin is then low
        sck      with divider 2 the clock's level; with divider 1 a pulse in the second half of the cycle, which the board
                 makes with a double-data-rate output: io.DDRBuffer with o = (0, sck)
        o, oe    to the data pins; of a flash with two, the upper two have no meaning
        i        from them
    """

    def __init__(self):
        super().__init__({"cs": Out(1), "sck": Out(1), "o": Out(4), "oe": Out(4), "i": In(4)})


class State(enum.Enum, shape=2):
    PAUSE = 0
    COMMAND = 1
    ADDRESS = 2
    DATA = 3


class FlashReader(wiring.Component):
    """Streams `length` bytes from `address` on, with `last` at their end, over and over until the next request or `stop`.

    After power-up it wakes and resets the flash, reads its identification and, to use four data lines, enables its quad mode
    until power is lost.
    If the identification is all zeros or all ones there is no flash, and `request` is never ready. When the stream pauses,
    so does the flash's clock. A request or `stop` drops all beats in flight, the offered one included.

    Commands and times: Winbond W25Q128JV data sheet, sections 8.2 and 9.6.

    Throughput: a byte every 8 / lines * divider cycles, if no beat waits longer than its bytes take, less 4 cycles; at most
    n * divider + 6 cycles more from the last beat of a range to its first one, where n is 20 with four lines, 40 with two.
    Latency: at most a beat's time and n * divider + 9 cycles from a request to its first beat; 0.2 to 0.4 ms from
    power-up until `request` is ready.

    clock_hz        of this component, in Hz
    divider         cycles per flash clock: 1 or 2, see SpiPins
    lines           data lines: 4, or 2
    quad_enable     the write after opcode 50h that enables quad mode: opcode and status

    Members:
        request   ready once the flash is found; length must be a positive multiple of bytes_per_beat
        stop      pulse
        spi       to the flash
        loadable  the stream
    """

    def __init__(
        self,
        clock_hz: float,
        bytes_per_beat: int,
        divider: int = 2,
        lines: int = 4,
        quad_enable: bytes = b"\x31\x02",
    ):
        if divider not in (1, 2):
            raise ValueError(f"divider must be 1 or 2, not {divider}")
        if lines not in _READS:
            raise ValueError(f"lines must be 4 or 2, not {lines}")
        if len(quad_enable) != 2:
            raise ValueError(f"quad_enable must be opcode and status, 2 bytes, not {len(quad_enable)}")
        self._bytes, self._divider, self._lines, self._read = bytes_per_beat, divider, lines, _READS[lines]
        enable = [[_WRITE_ENABLE_VOLATILE_STATUS], quad_enable] if lines == 4 else []
        self._script = [  # byte to send, or None to read one of the identification; whether the command ends here
            (byte, at == len(command) - 1)
            for command in (
                [_RELEASE_POWER_DOWN],
                [_ENABLE_RESET],
                [_RESET],
                [_JEDEC_ID, None, None, None],
                *enable,
                [self._read.opcode],
            )
            for at, byte in enumerate(command)
        ]
        self._recovery_bits = ceil_log2(max(8, int(clock_hz * _RECOVERY)))
        super().__init__(
            {
                "request": In(stream.Signature(REQUEST)),
                "stop": In(1),
                "spi": Out(SpiPins()),
                "loadable": Out(stream.Signature(beat_layout(bytes_per_beat))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        spi, read = self.spi, self._read
        all_lines = (1 << self._lines) - 1
        state, number, running = Signal(State), Signal(range(len(self._script))), Signal()
        address, length = Signal(24), Signal(24)
        accept, cancel = Signal(), Signal()
        m.d.comb += [accept.eq(self.request.valid & self.request.ready), cancel.eq(accept | self.stop)]

        # each `tick` with `clock` is a pulse of the flash's clock; with `wanted` the bits that it brings count
        tick, clock, wanted = Signal(), Signal(), Signal()
        if self._divider == 1:
            m.d.comb += [tick.eq(1), spi.sck.eq(clock)]
        else:
            m.d.sync += tick.eq(~tick)
            m.d.comb += spi.sck.eq(clock & tick)
        on_its_way = Signal(_LATENCY)
        arrives = on_its_way[-1]
        m.d.sync += on_its_way.eq(Mux(cancel, 0, Cat(tick & wanted, on_its_way)))

        byte = Array(C(byte or 0, 8) for byte, _ in self._script)[number]
        is_identity = Array(C(byte is None) for byte, _ in self._script)[number]
        ends = Array(C(end) for _, end in self._script)[number]
        reading = number == len(self._script) - 1
        identity = Signal(2)  # a zero, and a one, was in the identification
        with m.If(arrives & ~reading):
            m.d.sync += identity.eq(identity | Cat(~spi.i[1], spi.i[1]))
        self._assemble(m, arrives & reading, state != State.DATA, cancel)
        m.d.comb += [self.request.ready.eq(reading & identity.all()), spi.cs.eq(state != State.PAUSE)]

        position_bits = ceil_log2(8 // self._lines * self._bytes)
        count = Signal(max(ceil_log2(read.clocks), position_bits))  # clocks in this state
        position = count[:position_bits]  # in a beat
        beats = Signal(len(length) - ceil_log2(self._bytes))
        pause = Signal(self._recovery_bits + 1)
        with m.If(tick & clock):
            m.d.sync += count.eq(count + 1)
        m.d.sync += pause.eq(0)
        with m.Switch(state):
            with m.Case(State.PAUSE):
                m.d.sync += [pause.eq(pause + 1), count.eq(0), beats.eq(1)]
                with m.If(tick & Mux(reading, running & pause[2], pause[-1])):
                    m.d.sync += state.eq(State.COMMAND)
            with m.Case(State.COMMAND):
                m.d.comb += [
                    clock.eq(1),
                    wanted.eq(is_identity),
                    spi.o.eq(Cat(byte.bit_select(~count[:3], 1), 0, 1, 1)),  # the upper two are /WP and /HOLD
                    spi.oe.eq(0b1101 & all_lines),
                ]
                with m.If(tick & (count == 7)):
                    m.d.sync += count.eq(0)
                    with m.If(reading):
                        m.d.sync += state.eq(State.ADDRESS)
                    with m.Else():
                        m.d.sync += [number.eq(number + 1), state.eq(Mux(ends, State.PAUSE, State.COMMAND))]
            with m.Case(State.ADDRESS):
                in_address = count < read.address_clocks
                m.d.comb += [
                    clock.eq(1),
                    spi.o.eq(
                        Mux(in_address, address[-read.lines :], 0xF)
                    ),  # mode Fh: the next read sends its opcode again
                    spi.oe.eq((count < read.address_clocks + read.mode_clocks).replicate(read.lines)),
                ]
                with m.If(tick & in_address):
                    m.d.sync += address.eq(address.rotate_left(read.lines))
                with m.If(tick & (count == read.clocks - 1)):
                    m.d.sync += [count.eq(0), state.eq(State.DATA)]
            with m.Case(State.DATA):
                m.d.comb += [clock.eq(position.any() | ~self.loadable.valid), wanted.eq(clock)]
                with m.If(tick & position.all()):
                    m.d.sync += beats.eq(beats + 1)
                    with m.If(beats == length[ceil_log2(self._bytes) :]):
                        m.d.sync += state.eq(State.PAUSE)
        with m.If(cancel):
            m.d.sync += [state.eq(State.PAUSE), running.eq(accept)]
        with m.If(accept):
            m.d.sync += [address.eq(self.request.payload.address), length.eq(self.request.payload.length)]
        return m

    def _assemble(self, m: Module, arrives, is_last, cancel) -> None:
        """Assemble what the lines bring into beats: the next beat is assembled while the last one is offered."""
        lines = self._lines
        nibbles, count = Signal(8 * self._bytes), Signal(range(8 // lines * self._bytes))
        full, full_last = Signal(), Signal()
        # the upper bits of a byte come first
        parts = range(8 - lines, -1, -lines)
        beat = Cat(
            Cat(byte[at : at + lines] for at in parts)
            for byte in (nibbles.word_select(i, 8) for i in range(self._bytes))
        )
        with m.If(arrives):
            m.d.sync += [nibbles.eq(Cat(nibbles[lines:], self.spi.i[:lines])), count.eq(count + 1)]
        with m.If(self.loadable.ready):
            m.d.sync += self.loadable.valid.eq(0)
        with m.If(full & ~self.loadable.valid):
            m.d.sync += [
                full.eq(0),
                self.loadable.valid.eq(1),
                self.loadable.payload.data.eq(beat),
                self.loadable.payload.last.eq(full_last),
            ]
        with m.If(arrives & count.all()):
            m.d.sync += [full.eq(1), full_last.eq(is_last)]
        with m.If(cancel):
            m.d.sync += [count.eq(0), full.eq(0), self.loadable.valid.eq(0)]
