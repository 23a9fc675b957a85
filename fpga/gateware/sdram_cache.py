"""Caches the locked loadable in a SDRAM: for loadables larger than the block RAM, which the flash alone would bring slowly."""

from amaranth import Cat, Module, Mux, ResetInserter, Shape, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Out, connect, flipped

from deeplock.fpga.gateware.flash import REQUEST
from deeplock.fpga.gateware.loadable_cache import CacheSignature
from deeplock.fpga.gateware.sdram import SDRAM_BYTES, WORD_BYTES, Sdram, SdramPins

__all__ = ["SdramCache"]

assert 1 << Shape.cast(REQUEST["length"].shape).width <= SDRAM_BYTES, "any range that is asked for has room"

_ROOM = 32
"""Words between SDRAM and beats: more than the cycles that a read takes."""


class _State(enum.Enum):
    FILL = 0  # beats come from the flash
    TURN = 1  # the last one is being passed on and stored
    REPLAY = 2  # they come from the SDRAM


class SdramCache(wiring.Component):
    """Passes a requested range on and stores it, then repeats it from the SDRAM, which takes any range that can be requested.

    Its contents are locked, as in the flash. Where no SDRAM is found, all comes from the flash.

    Latency: 1 cycle in the first pass. Throughput: in the first pass the flash reader's, if that is at most a beat in the
    cycles that its words take and 3; then a word of 2 bytes a cycle, less the 5 % of Sdram.

    bytes_per_beat   of both streams
    sdram            its controller

    Members: see CacheSignature; and the chip's `pins`
    """

    def __init__(self, bytes_per_beat: int, sdram: Sdram):
        self._words, self._sdram = bytes_per_beat // WORD_BYTES, sdram
        cache = CacheSignature(bytes_per_beat)
        super().__init__(dict(cache.members.items()) | {"pins": Out(SdramPins())})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sdram = sdram = self._sdram
        connect(m, sdram.pins, flipped(self.pins))
        access, words = sdram.accesses, self._words

        state = Signal(_State)
        accept, stopped, stores = Signal(), Signal(), Signal()  # the range of this request is stored
        m.d.comb += [
            accept.eq(self.request.valid & self.request.ready),
            stopped.eq(accept | self.stop),
            self.flash.valid.eq(self.request.valid),
            self.flash.payload.eq(self.request.payload),
            self.request.ready.eq(self.flash.ready),
            self.stop_flash.eq(self.stop),
        ]

        # one beat: from the flash all at once, from the SDRAM word by word
        beat = Signal(self.loadable.payload.shape(), reset_less=True)
        offered, leaves = Signal(), Signal()
        word = Signal(range(words))  # of the beat, that is written or comes
        address = Signal(len(access.payload.address), reset_less=True)  # of the next access
        end = Signal.like(address)  # of the last word
        m.d.comb += [
            self.loadable.valid.eq(offered),
            self.loadable.payload.eq(beat),
            leaves.eq(offered & self.loadable.ready),
        ]
        with m.If(leaves):
            m.d.sync += offered.eq(0)

        writing, comes, done = Signal(), Signal(), Signal()
        taken = access.valid & access.ready
        written = ~writing | (taken & (word == words - 1))
        m.d.comb += [
            access.payload.write.eq(writing),
            access.payload.address.eq(address),
            access.payload.data.eq(beat.data.word_select(word, 8 * WORD_BYTES)),
            done.eq(written & (leaves | ~offered)),
        ]
        # words that are asked for have room; those of before a stop are thrown away
        m.submodules.fifo = fifo = ResetInserter(stopped)(SyncFIFOBuffered(width=8 * WORD_BYTES, depth=_ROOM))
        room, flying = Signal(range(_ROOM + 1)), Signal(range(_ROOM + 1))
        shown = Signal.like(address, reset_less=True)  # of the next word from the fifo
        reads = (state == _State.REPLAY) & taken
        m.d.sync += [flying.eq(flying + reads - sdram.read.valid), room.eq(room - reads + fifo.r_en)]
        m.d.comb += [
            fifo.w_data.eq(sdram.read.payload),
            fifo.w_en.eq(sdram.read.valid & (state == _State.REPLAY)),
            fifo.r_en.eq(fifo.r_rdy & (state == _State.REPLAY) & (leaves | ~offered)),
        ]

        with m.If(taken):
            m.d.sync += address.eq(Mux((state == _State.REPLAY) & (address == end), 0, address + 1))
        with m.Switch(state):
            with m.Case(_State.FILL):
                m.d.comb += [
                    access.valid.eq(writing),
                    self.beats.ready.eq(~offered & ~writing),
                    comes.eq(self.beats.valid & self.beats.ready),
                ]
                with m.If(comes):
                    m.d.sync += [beat.eq(self.beats.payload), offered.eq(1), writing.eq(stores)]
                    with m.If(self.beats.payload.last & stores):
                        m.d.comb += self.stop_flash.eq(1)
                        m.d.sync += state.eq(_State.TURN)
            with m.Case(_State.TURN):
                m.d.comb += access.valid.eq(writing)
                with m.If(taken):
                    m.d.sync += end.eq(address)
                with m.If(done & (flying == 0)):
                    m.d.sync += [state.eq(_State.REPLAY), address.eq(0), shown.eq(0), room.eq(_ROOM)]
            with m.Case(_State.REPLAY):
                m.d.comb += access.valid.eq(room != 0)
                with m.If(fifo.r_en):
                    m.d.sync += [
                        beat.data.eq(Cat(beat.data, fifo.r_data)[8 * WORD_BYTES :]),
                        beat.last.eq(shown == end),
                        shown.eq(Mux(shown == end, 0, shown + 1)),
                        word.eq(word + 1),
                        offered.eq(word == words - 1),
                    ]
        with m.If(writing & taken):
            m.d.sync += [word.eq(word + 1), writing.eq(word != words - 1)]
        with m.If(stopped):
            m.d.sync += [state.eq(_State.FILL), offered.eq(0), writing.eq(0), word.eq(0), address.eq(0)]
            m.d.sync += stores.eq(sdram.ready)
        return m
