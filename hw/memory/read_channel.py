"""Read channel: turns transfers into bursts, and what they bring into packets."""

from amaranth import C, Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.memory.transfer import TRANSFER, burst_layout, read_layout
from deeplock.pymodel.spec.memory import BYTES_BITS

__all__ = ["ReadChannel"]


class ReadChannel(wiring.Component):
    """Reads the packets of a transfer into a buffer, as far ahead as that has room, and passes them on. Packets lie one behind
    the other, each from the next whole beat of memory on; with `repeats` every packet is the same bytes.

    A burst ends at the next multiple of the longest burst or at the end of its packet. It is asked for only when the buffer has
    room for a longest one, so beats that come are never refused.

    After a wrong beat the packet ends wrongly, so that the receiver knows: that beat has `last` if it should not, or has none
    and one more beat has it. The transfer is over with it. `stop` ends a transfer in the same way, if a beat of the packet has
    left; it drops what is in the buffer, the offered beat included. Beats on their way are dropped as they come. A second
    `stop` drops the beats that end the packet too, for a receiver that has given it up.

    Latency: 2 cycles from a transfer to its first burst, 2 from a beat to the outlet. Throughput: one beat a cycle; between
    transfers, until the last beat has left, none is asked for.

    size     bytes of a beat in memory
    width    bytes of a beat at the outlet: 4, 8 or 16
    longest  beats of the longest burst, a power of two
    depth    beats that the buffer holds
    repeats  as above

    Members:
        transfer  taken when the one before is over
        stop      pulse: end the transfer
        burst     to the read master
        beats     from it, all beats of all bursts
        outlet    packets
        busy      a transfer is going on, or beats of one are on their way
    """

    def __init__(self, size: int, width: int, longest: int, depth: int, repeats: bool = False):
        self._size, self._width, self._longest, self._depth, self._repeats = size, width, longest, depth, repeats
        super().__init__(
            {
                "transfer": In(stream.Signature(TRANSFER)),
                "stop": In(1),
                "burst": Out(stream.Signature(burst_layout(size, longest))),
                "beats": In(stream.Signature(read_layout(size), always_ready=True)),
                "outlet": Out(stream.Signature(beat_layout(width))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        accept, over, deaf = Signal(), Signal(), Signal()
        packet_1 = Signal(BYTES_BITS - exact_log2(self._width))  # beats at the outlet of a packet, minus one
        with m.If(accept):
            m.d.sync += packet_1.eq(self.transfer.payload.bytes_1 >> exact_log2(self._width))

        # the buffer
        m.submodules.buffer = buffer = ResetInserter(over)(
            SyncFIFOBuffered(width=8 * self._size + 1, depth=self._depth)
        )
        awaited = Signal(range(self._depth + 1))  # beats that were asked for and have not come
        asks, length = self.burst.valid & self.burst.ready, Signal(range(self._longest + 1))
        m.d.sync += awaited.eq(awaited + Mux(asks, length, 0) - self.beats.valid)
        m.d.comb += [
            buffer.w_data.eq(self.beats.payload),
            buffer.w_en.eq(self.beats.valid & ~deaf),
            accept.eq(self.transfer.valid & self.transfer.ready),
            self.transfer.ready.eq(~self.busy & ~self.stop),
        ]
        with m.If(over | (buffer.w_en & self.beats.payload.wrong)):
            m.d.sync += deaf.eq(1)
        with m.Elif(accept):
            m.d.sync += deaf.eq(0)

        has_room = Signal()  # a cycle late: so it is taken for none in the cycle after a burst
        m.d.sync += has_room.eq((awaited + buffer.level <= self._depth - self._longest) & ~asks)
        begins = Signal()  # the cycle after `accept`: packet_1 is valid
        m.d.sync += begins.eq(accept)
        self._ask(m, accept, begins, has_room & ~deaf & ~over, packet_1, length)
        word = self._resized(m, buffer, over)
        delivering = self._deliver(m, accept, begins, over, word, packet_1)
        m.d.comb += self.busy.eq(delivering | (awaited != 0) | (buffer.level != 0))
        return m

    def _ask(self, m: Module, accept: Signal, begins: Signal, may: Value, packet_1: Signal, length: Signal) -> None:
        """Ask for burst after burst of packet after packet; `length`, of this one, is driven."""
        to_ask, ends = Signal.like(self.transfer.payload.packets), Signal()
        payload, shift = self.burst.payload, exact_log2(self._size) - exact_log2(self._width)
        beats_1 = packet_1 >> shift if shift >= 0 else Cat(C(1).replicate(-shift), packet_1)
        beat, first, left_1 = Signal.like(payload.beat), Signal.like(payload.beat), Signal(len(beats_1))
        to_end_1 = ~beat[: exact_log2(self._longest)]  # of the aligned block
        m.d.comb += [
            ends.eq(left_1 <= to_end_1),
            payload.beat.eq(beat),
            payload.length_1.eq(Mux(ends, left_1, to_end_1)),
            length.eq(payload.length_1 + 1),
            self.burst.valid.eq(may & to_ask.any() & ~begins),
        ]
        with m.If(self.burst.valid & self.burst.ready):
            m.d.sync += [beat.eq(Mux(ends & self._repeats, first, beat + length)), left_1.eq(left_1 - length)]
            with m.If(ends):
                m.d.sync += [to_ask.eq(to_ask - 1), left_1.eq(beats_1)]
        with m.If(begins):
            m.d.sync += left_1.eq(beats_1)
        with m.If(accept):
            start = self.transfer.payload.address[exact_log2(self._size) :]
            m.d.sync += [to_ask.eq(self.transfer.payload.packets), beat.eq(start), first.eq(start)]
        with m.Elif(self.stop):
            m.d.sync += to_ask.eq(0)

    def _resized(self, m: Module, buffer: SyncFIFOBuffered, over: Signal) -> stream.Interface:
        """The buffer's beats as beats of the outlet's size. The rest of one that holds a packet's end is dropped."""
        size, width = self._size, self._width
        inner = data.View(read_layout(size), buffer.r_data)
        word = stream.Signature(read_layout(width)).create(path=("word",))
        if size == width:
            m.d.comb += [word.valid.eq(buffer.r_rdy), word.payload.eq(inner), buffer.r_en.eq(word.ready)]
            return word
        ratio = max(size, width) // min(size, width)
        part = Signal(range(ratio))
        if size > width:
            m.d.comb += [
                word.valid.eq(buffer.r_rdy),
                word.payload.data.eq(inner.data.word_select(part, 8 * width)),
                word.payload.wrong.eq(inner.wrong),
                buffer.r_en.eq(word.ready & ((part == ratio - 1) | self.outlet.payload.last)),
            ]
            with m.If(word.valid & word.ready):
                m.d.sync += part.eq(Mux(buffer.r_en, 0, part + 1))
        else:
            held, wrong = Signal(8 * (width - size), reset_less=True), Signal()
            is_whole = part == ratio - 1
            m.d.comb += [
                word.valid.eq(buffer.r_rdy & is_whole),
                word.payload.data.eq(Cat(held, inner.data)),
                word.payload.wrong.eq(inner.wrong | wrong),
                buffer.r_en.eq(word.ready | ~is_whole),
            ]
            with m.If(buffer.r_rdy & buffer.r_en):
                m.d.sync += [
                    part.eq(part + 1),
                    held.eq(Cat(held, inner.data)[8 * size :]),
                    wrong.eq((wrong | inner.wrong) & ~is_whole),
                ]
            with m.If(over):
                m.d.sync += wrong.eq(0)
        with m.If(over):
            m.d.sync += part.eq(0)
        return word

    def _deliver(
        self, m: Module, accept: Signal, begins: Signal, over: Signal, word: stream.Interface, packet_1: Signal
    ) -> Value:
        """Pass packet after packet on; `over` is driven. Returns whether a transfer is going on."""
        outlet = self.outlet
        packets, left_1, begun = Signal.like(self.transfer.payload.packets), Signal.like(packet_1), Signal()
        cut, closes = Signal(), Signal()  # the next beat is wrong, whatever it is; it is one too many, and the last
        taken, ends, wrong = Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(left_1 == 0),
            wrong.eq(cut | word.payload.wrong),
            outlet.valid.eq(closes | cut | (word.valid & packets.any())),
            outlet.payload.data.eq(word.payload.data),
            outlet.payload.last.eq(closes | (ends ^ wrong)),
            word.ready.eq(outlet.ready & packets.any()),
            taken.eq(outlet.valid & outlet.ready),
            over.eq(self.stop | (taken & wrong)),
        ]
        with m.If(taken):
            m.d.sync += [begun.eq(~ends), left_1.eq(left_1 - 1), cut.eq(0), closes.eq(0)]
            with m.If(ends):
                m.d.sync += [left_1.eq(packet_1), packets.eq(packets - 1)]
            with m.If(wrong | closes):
                m.d.sync += [packets.eq(0), begun.eq(0), closes.eq(ends & ~closes)]
        with m.If(self.stop):
            still = Mux(taken, ~ends & ~wrong & ~closes, begun)  # a part of a packet has left; 0 after a `stop`
            m.d.sync += [packets.eq(0), begun.eq(0), cut.eq(still), closes.eq(0)]
        with m.If(accept):
            m.d.sync += packets.eq(self.transfer.payload.packets)
        with m.If(begins):
            m.d.sync += left_1.eq(packet_1)
        return packets.any() | cut | closes
