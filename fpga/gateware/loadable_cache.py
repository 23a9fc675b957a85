"""Caches the locked loadable in block RAM, so that it is read from the flash only once."""

from amaranth import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import enum, memory, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from deeplock.fpga.gateware.flash import REQUEST
from deeplock.hw.basics.layouts import beat_layout

__all__ = ["CacheSignature", "LoadableCache"]


_PART = 4
"""Most bytes of a beat in one memory, which has its own address register."""

_ROOM = 8
"""Beats between memory and accelerator: more than the cycles from a read until its beat has left."""


class State(enum.Enum):
    FILL = 0
    REPLAY = 1


class CacheSignature(wiring.Signature):
    """A cache between a flash reader and who takes its loadables.

    Members:
        request, stop, loadable   as the flash reader's
        flash, stop_flash, beats  to and from the flash reader's, or another cache's
    """

    def __init__(self, bytes_per_beat: int):
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


class LoadableCache(wiring.Component):
    """Passes a requested range on and stores it, then repeats it from memory.

    Its contents are locked, as in the flash. A range longer than the cache always comes from the flash.

    Latency: 3 cycles in the first pass; 1 cycle more from its end to the first beat of the second. Throughput: in the first
    pass the flash reader's, then a beat a cycle.

    bytes_per_beat   of both streams
    size             bytes, a multiple of bytes_per_beat

    Members: see CacheSignature
    """

    def __init__(self, bytes_per_beat: int, size: int):
        if size <= 0 or size % bytes_per_beat:
            raise ValueError(f"size must be a multiple of {bytes_per_beat} bytes, not {size}")
        self._bytes, self._depth = bytes_per_beat, size // bytes_per_beat
        super().__init__(CacheSignature(bytes_per_beat))

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
                data_read[here].eq(read_port.data),
                write_port.addr.eq(address),
                write_port.data.eq(self.beats.payload.data[here]),
                write_port.en.eq(write),
            ]

        # whatever enters has room at the end, so that nothing on the way waits for `ready`: the blocks are too far apart
        beat = self.beats.payload.shape()
        stopped = Signal()
        width = len(self.beats.payload.as_value())
        m.submodules.fifo = fifo = ResetInserter(stopped)(SyncFIFOBuffered(width=width, depth=_ROOM))
        room, enters, leaves = Signal(range(_ROOM + 1), init=_ROOM), Signal(), Signal()
        m.d.sync += room.eq(Mux(stopped, _ROOM, room + leaves - enters))
        held, holds = Signal(beat, reset_less=True), Signal()
        m.d.comb += [
            fifo.w_data.eq(held),
            fifo.w_en.eq(holds),
            fifo.r_en.eq(self.loadable.ready),
            self.loadable.valid.eq(fifo.r_rdy),
            self.loadable.payload.eq(fifo.r_data),
            leaves.eq(fifo.r_rdy & self.loadable.ready),
        ]

        state = Signal(State)
        end = Signal.like(index)  # of the last beat
        fits = Signal()
        shown, is_last = Signal(), Signal()  # a beat is at the read port's output; it is the range's last
        accept, taken = Signal(), Signal()
        m.d.comb += [
            accept.eq(self.request.valid & self.request.ready),
            self.flash.valid.eq(self.request.valid),
            self.flash.payload.eq(self.request.payload),
            self.request.ready.eq(self.flash.ready),
            self.stop_flash.eq(self.stop),
            next_index.eq(index),
            stopped.eq(accept | self.stop),
            enters.eq(taken | read),
        ]
        m.d.sync += [
            shown.eq(read & ~stopped),
            holds.eq((shown | taken) & ~stopped),
            held.eq(Mux(shown, Cat(data_read, is_last), self.beats.payload)),
        ]
        with m.If(state == State.FILL):
            m.d.comb += [
                self.beats.ready.eq(room.any()),
                taken.eq(self.beats.valid & self.beats.ready),
                write.eq(taken & fits),
            ]
            with m.If(write):
                m.d.comb += next_index.eq(index + 1)
                with m.If(self.beats.payload.last):
                    m.d.comb += [self.stop_flash.eq(1), next_index.eq(0)]
                    m.d.sync += [end.eq(index), state.eq(State.REPLAY)]
        with m.Else():
            m.d.comb += read.eq(room.any())
            with m.If(read):
                m.d.sync += is_last.eq(index == end)
                m.d.comb += next_index.eq(Mux(index == end, 0, index + 1))
        with m.If(stopped):
            m.d.comb += next_index.eq(0)
            m.d.sync += state.eq(State.FILL)
            m.d.sync += fits.eq(self.request.payload.length <= self._depth * self._bytes)
        m.d.sync += index.eq(next_index)
        return m
