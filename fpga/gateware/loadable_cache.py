"""Caches the locked loadable in block RAM, so that it is read from the flash only once."""

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.fpga.gateware.flash import REQUEST
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.basics.stream_buffers import RegisterSlice, StreamRegister

__all__ = ["LoadableCache"]


_PART = 4
"""Most bytes of a beat in one memory, which has its own address register."""


class State(enum.Enum):
    FILL = 0
    REPLAY = 1


class LoadableCache(wiring.Component):
    """Between flash reader and accelerator: passes a requested range on and stores it, then repeats it from memory.

    Its contents are locked, as in the flash. A range longer than the cache always comes from the flash.

    Latency: 2 cycles in the first pass; 1 cycle more from its end to the first beat of the second. Throughput: in the first
    pass the flash reader's, then a beat a cycle.

    bytes_per_beat   of both streams
    size             bytes, a multiple of bytes_per_beat

    Members:
        request, stop, loadable   as the flash reader's
        flash, stop_flash, beats  to and from the flash reader's
    """

    def __init__(self, bytes_per_beat: int, size: int):
        if size <= 0 or size % bytes_per_beat:
            raise ValueError(f"size must be a multiple of {bytes_per_beat} bytes, not {size}")
        self._bytes, self._depth = bytes_per_beat, size // bytes_per_beat
        beats = stream.Signature(beat_layout(bytes_per_beat))
        super().__init__(
            {
                "request": In(stream.Signature(REQUEST)),
                "stop": In(1),
                "flash": Out(stream.Signature(REQUEST)),
                "stop_flash": Out(1),
                "beats": In(beats),
                "loadable": Out(beats),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        index, next_index = Signal(range(self._depth)), Signal(range(self._depth))  # of the next beat
        data_read, read, write = Signal(8 * self._bytes), Signal(), Signal()
        for first in range(0, self._bytes, _PART):  # the memory's blocks are spread over the device
            here = slice(8 * first, 8 * (first + _PART))
            m.submodules[f"memory_{first}"] = part = memory.Memory(shape=8 * _PART, depth=self._depth, init=[])
            read_port, write_port = part.read_port(), part.write_port()
            address = Signal.like(index, name=f"index_{first}", attrs={"keep": 1})
            m.d.sync += address.eq(next_index)
            m.d.comb += [
                read_port.addr.eq(address),
                read_port.en.eq(read),
                data_read[here].eq(read_port.data),
                write_port.addr.eq(address),
                write_port.data.eq(self.beats.payload.data[here]),
                write_port.en.eq(write),
            ]

        # the read port's output goes straight into a register; the slice after it also registers `ready`
        beat = self.beats.payload.shape()
        stopped = Signal()
        stage, output = StreamRegister(beat), RegisterSlice(beat, {"keep": 1})
        m.submodules.register = ResetInserter(stopped)(stage)
        m.submodules.slice = ResetInserter(stopped)(output)
        connect(m, stage.outlet, output.inlet)
        connect(m, output.outlet, flipped(self.loadable))
        out = stage.inlet

        state = Signal(State)
        end = Signal.like(index)  # of the last beat
        fits = Signal()
        shown, is_last = Signal(), Signal()  # a beat is at the read port's output; it is the range's last
        accept = Signal()
        m.d.comb += [
            accept.eq(self.request.valid & self.request.ready),
            self.flash.valid.eq(self.request.valid),
            self.flash.payload.eq(self.request.payload),
            self.request.ready.eq(self.flash.ready),
            self.stop_flash.eq(self.stop),
            next_index.eq(index),
            stopped.eq(accept | self.stop),
            read.eq(~shown | out.ready),
        ]
        with m.If(state == State.FILL):
            taken = self.beats.valid & out.ready
            m.d.comb += [
                out.valid.eq(self.beats.valid),
                out.payload.eq(self.beats.payload),
                self.beats.ready.eq(out.ready),
                write.eq(taken & fits),
            ]
            with m.If(taken & fits):
                m.d.comb += next_index.eq(index + 1)
                with m.If(self.beats.payload.last):
                    m.d.comb += [self.stop_flash.eq(1), next_index.eq(0)]
                    m.d.sync += [end.eq(index), state.eq(State.REPLAY)]
        with m.Else():
            m.d.comb += [
                out.valid.eq(shown),
                out.payload.data.eq(data_read),
                out.payload.last.eq(is_last),
            ]
            with m.If(read):
                m.d.sync += [shown.eq(1), is_last.eq(index == end)]
                m.d.comb += next_index.eq(Mux(index == end, 0, index + 1))
        with m.If(stopped):
            m.d.comb += next_index.eq(0)
            m.d.sync += [state.eq(State.FILL), shown.eq(0)]
            m.d.sync += fits.eq(self.request.payload.length <= self._depth * self._bytes)
        m.d.sync += index.eq(next_index)
        return m
