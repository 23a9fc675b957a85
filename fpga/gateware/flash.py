"""Reads a range of a quad SPI flash, over and over, into the loadable stream."""

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
_WRITE_ENABLE_VOLATILE_STATUS, _FAST_READ_QUAD_IO = 0x50, 0xEB
_ADDRESS_NIBBLES, _MODE_NIBBLES, _DUMMY_CLOCKS = 6, 2, 4
_LATENCY = 2
"""Cycles from a pulse of `sck` to its nibble in `i`: a register to the pins and one back."""


class SpiPins(wiring.Signature):
    """Quad SPI flash, seen from the controller. Each member is registered once more at its pin, as by io.FFBuffer.

    Members:
        cs       the flash is selected; its pin is then low
        sck      with divider 2 the clock's level; with divider 1 a pulse in the second half of the cycle, which the board
                 makes with a double-data-rate output: io.DDRBuffer with o = (0, sck)
        o, oe    to the four data pins
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

    After power-up it wakes and resets the flash, reads its identification, and enables its quad mode until power is lost.
    If the identification is all zeros or all ones there is no flash, and `request` is never ready. When the stream pauses,
    so does the flash's clock. A request or `stop` drops all beats in flight, the offered one included.

    Commands and times: Winbond W25Q128JV data sheet, sections 8.2 and 9.6.

    Throughput: a byte every 2 * divider cycles, if no beat waits longer than 2 * divider * bytes_per_beat - 4 cycles; at most
    20 * divider + 6 cycles more from the last beat of a range to its first one.
    Latency: at most a beat's time and 20 * divider + 9 cycles from a request to its first beat; 0.2 to 0.4 ms from
    power-up until `request` is ready.

    clock_hz        of this component, in Hz
    divider         cycles per flash clock: 1 or 2, see SpiPins
    quad_enable     the write after opcode 50h that enables quad mode: opcode and status

    Members:
        request   ready once the flash is found; length must be a positive multiple of bytes_per_beat
        stop      pulse
        spi       to the flash
        loadable  the stream
    """

    def __init__(self, clock_hz: float, bytes_per_beat: int, divider: int = 2, quad_enable: bytes = b"\x31\x02"):
        if divider not in (1, 2):
            raise ValueError(f"divider must be 1 or 2, not {divider}")
        if len(quad_enable) != 2:
            raise ValueError(f"quad_enable must be opcode and status, 2 bytes, not {len(quad_enable)}")
        self._bytes, self._divider = bytes_per_beat, divider
        self._script = [  # byte to send, or None to read one of the identification; whether the command ends here
            (byte, at == len(command) - 1)
            for command in (
                [_RELEASE_POWER_DOWN],
                [_ENABLE_RESET],
                [_RESET],
                [_JEDEC_ID, None, None, None],
                [_WRITE_ENABLE_VOLATILE_STATUS],
                quad_enable,
                [_FAST_READ_QUAD_IO],
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
        spi = self.spi
        state, number, running = Signal(State), Signal(range(len(self._script))), Signal()
        address, length = Signal(24), Signal(24)
        accept, cancel = Signal(), Signal()
        m.d.comb += [accept.eq(self.request.valid & self.request.ready), cancel.eq(accept | self.stop)]

        # each `tick` with `clock` is a pulse of the flash's clock; with `wanted` the nibble that it brings counts
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

        position_bits = ceil_log2(2 * self._bytes)
        count = Signal(max(4, position_bits))  # clocks in this state
        position = count[:position_bits]  # in a beat
        beats = Signal(len(length) - position_bits + 1)
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
                    spi.oe.eq(0b1101),
                ]
                with m.If(tick & (count == 7)):
                    m.d.sync += count.eq(0)
                    with m.If(reading):
                        m.d.sync += state.eq(State.ADDRESS)
                    with m.Else():
                        m.d.sync += [number.eq(number + 1), state.eq(Mux(ends, State.PAUSE, State.COMMAND))]
            with m.Case(State.ADDRESS):
                in_address = count < _ADDRESS_NIBBLES
                m.d.comb += [
                    clock.eq(1),
                    spi.o.eq(Mux(in_address, address[-4:], 0xF)),  # mode Fh: the next read sends its opcode again
                    spi.oe.eq((count < _ADDRESS_NIBBLES + _MODE_NIBBLES).replicate(4)),
                ]
                with m.If(tick & in_address):
                    m.d.sync += address.eq(address.rotate_left(4))
                with m.If(tick & (count == _ADDRESS_NIBBLES + _MODE_NIBBLES + _DUMMY_CLOCKS - 1)):
                    m.d.sync += [count.eq(0), state.eq(State.DATA)]
            with m.Case(State.DATA):
                m.d.comb += [clock.eq(position.any() | ~self.loadable.valid), wanted.eq(clock)]
                with m.If(tick & position.all()):
                    m.d.sync += beats.eq(beats + 1)
                    with m.If(beats == length[position_bits - 1 :]):
                        m.d.sync += state.eq(State.PAUSE)
        with m.If(cancel):
            m.d.sync += [state.eq(State.PAUSE), running.eq(accept)]
        with m.If(accept):
            m.d.sync += [address.eq(self.request.payload.address), length.eq(self.request.payload.length)]
        return m

    def _assemble(self, m: Module, arrives, is_last, cancel) -> None:
        """Assemble nibbles into beats: the next beat is assembled while the last one is offered."""
        nibbles, count = Signal(8 * self._bytes), Signal(range(2 * self._bytes))
        full, full_last = Signal(), Signal()
        # upper nibble first
        beat = Cat(Cat(byte[4:], byte[:4]) for byte in (nibbles.word_select(i, 8) for i in range(self._bytes)))
        with m.If(arrives):
            m.d.sync += [nibbles.eq(Cat(nibbles[4:], self.spi.i)), count.eq(count + 1)]
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
