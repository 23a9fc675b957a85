"""Write channel: packs the bytes of ofmaps into beats and writes them to a memory by AXI4."""

from amaranth import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from deeplock.hw.basics.axi import AxiWrite, Response
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.memory.transfer import TRANSFER, burst_layout, burst_on
from deeplock.pymodel.spec.memory import ADDRESS_BITS, BYTES_BITS, PACKETS_BITS, Error, MemoryOptions

__all__ = ["WriteChannel"]


class _State(enum.Enum):
    IDLE = 0
    SEND = 1  # address and data
    ANSWER = 2


class WriteChannel(wiring.Component):
    """Writes the packets of a transfer one behind the other, each from the next whole beat of memory on. Bytes behind a packet's
    end are not strobed. A burst ends at the next multiple of the longest burst or at its packet's end; it begins when all of its
    data are here, so that a sender who falls silent blocks no bus, and the next one when it was answered.

    A packet that does not end with its last byte is an error, and so is a burst that the memory refuses. After an error packets are
    taken and dropped until `stop`. `stop` ends the transfer; a burst that has begun is completed.

    Latency: 2 cycles from the last byte of a burst to AW. Throughput: a byte a cycle, if the memory answers a burst within
    the time that the next one takes.

    size   bytes of a beat in memory
    width  bytes of a beat at the inlet, of which the first ones are valid

    Members:
        transfer  taken when the one before is over
        stop      pulse: end the transfer
        inlet     packets; without a transfer they wait
        busy      a transfer is going on, or a burst
        error     Error code for one cycle, else Error.NONE
        port      AXI4
    """

    def __init__(self, size: int, width: int, options: MemoryOptions):
        self._size, self._width, self._options = size, width, options
        super().__init__(
            {
                "transfer": In(stream.Signature(TRANSFER)),
                "stop": In(1),
                "inlet": In(stream.Signature(beat_layout(width, keep=True))),
                "busy": Out(1),
                "error": Out(8),
                "port": Out(AxiWrite(size, ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        self._word = data.StructLayout({"data": 8 * self._size, "last_byte": exact_log2(self._size)})
        clear, sink, stopping = Signal(), Signal(), Signal()
        m.submodules.buffer = buffer = ResetInserter(clear)(
            SyncFIFOBuffered(width=self._word.size, depth=2 * self._options.burst)
        )
        due = stream.Signature(burst_layout(self._size, self._options)).create(path=("due",))  # its data are here
        idle, bad_length = Signal(), Signal()
        packing = self._pack(m, buffer, due, sink, stopping, bad_length)
        self._send(m, buffer, due, idle)

        m.d.comb += [
            clear.eq(stopping & idle),
            self.busy.eq(packing | due.valid | ~idle | stopping),
            self.transfer.ready.eq(~self.busy & ~self.stop & ~sink),
        ]
        answer = self.port.bvalid & self.port.bready
        with m.If(answer & (self.port.bresp == Response.SLVERR)):
            m.d.comb += self.error.eq(Error.WRITE_SLVERR)
        with m.Elif(answer & (self.port.bresp == Response.DECERR)):
            m.d.comb += self.error.eq(Error.WRITE_DECERR)
        with m.Elif(bad_length):
            m.d.comb += self.error.eq(Error.OFMAP_LENGTH)
        with m.If(self.error.any()):
            m.d.sync += sink.eq(1)
        with m.If(clear):
            m.d.sync += stopping.eq(0)
        with m.If(self.stop):
            m.d.sync += [sink.eq(0), stopping.eq(1)]
        return m

    def _pack(
        self, m: Module, buffer: SyncFIFOBuffered, due: stream.Interface, sink: Signal, stopping: Signal, bad_length: Signal
    ) -> Value:
        """Pack byte after byte. Returns whether bytes are still to come."""
        inlet, longest = self.inlet, exact_log2(self._options.burst)
        packets, size, left = Signal(PACKETS_BITS), Signal(BYTES_BITS), Signal(BYTES_BITS)
        lane, place = Signal(range(self._width)), Signal(range(self._size))
        held = Signal(8 * self._size, reset_less=True)
        beat, first = Signal.like(due.payload.beat), Signal(longest)  # being packed; low bits of its burst's first one

        byte = inlet.payload.data.word_select(lane, 8)
        more = inlet.payload.keep[1:].bit_select(lane, 1) if self._width > 1 else Const(0)
        ends, whole, burst_ends = Signal(), Signal(), Signal()
        taken, packs = Signal(), Signal()
        m.d.comb += [
            ends.eq(left == 1),
            whole.eq(ends | (place == self._size - 1)),
            burst_ends.eq(ends | (whole & beat[:longest].all())),
            taken.eq(
                (inlet.valid & packets.any() & ~sink & ~stopping)
                & (~whole | buffer.w_rdy)
                & ~(burst_ends & due.valid)
            ),
            packs.eq(taken & (ends == (inlet.payload.last & ~more))),
            bad_length.eq(taken & ~packs),
            inlet.ready.eq(sink | (taken & ~more)),
            buffer.w_en.eq(packs & whole),
            buffer.w_data.eq(
                Cat(
                    *(Mux(place == at, byte, held.word_select(at, 8)) for at in range(self._size)),
                    place,
                )
            ),
        ]
        with m.If(due.ready):
            m.d.sync += due.valid.eq(0)
        with m.If(taken):
            m.d.sync += lane.eq(Mux(more, lane + 1, 0))
        with m.If(packs):
            m.d.sync += [held.word_select(place, 8).eq(byte), place.eq(Mux(whole, 0, place + 1)), left.eq(left - 1)]
            m.d.sync += beat.eq(beat + whole)
            with m.If(ends):
                m.d.sync += [left.eq(size), packets.eq(packets - 1)]
            with m.If(burst_ends):
                m.d.sync += [
                    due.valid.eq(1),
                    due.payload.beat.eq(Cat(first, beat[longest:])),
                    due.payload.length_1.eq(beat[:longest] - first),
                    first.eq(beat[:longest] + 1),
                ]
        with m.If(self.stop):
            m.d.sync += [packets.eq(0), lane.eq(0), place.eq(0), due.valid.eq(0)]
        with m.If(self.transfer.valid & self.transfer.ready):
            new = self.transfer.payload
            start = new.address[exact_log2(self._size) :]
            m.d.sync += [packets.eq(new.packets), size.eq(new.bytes), left.eq(new.bytes), beat.eq(start), first.eq(start)]
        return packets.any()

    def _send(self, m: Module, buffer: SyncFIFOBuffered, due: stream.Interface, idle: Signal) -> None:
        """Write burst after burst."""
        port, state = self.port, Signal(_State)
        sent, left_1 = Signal(due.payload.shape(), reset_less=True), Signal.like(due.payload.length_1)
        word = data.View(self._word, buffer.r_data)
        sends = state == _State.SEND
        m.d.comb += burst_on(port, "aw", sent, self._size)
        m.d.comb += [
            idle.eq(state == _State.IDLE),
            due.ready.eq(idle),
            port.wvalid.eq(sends & buffer.r_rdy),
            port.wdata.eq(word.data),
            port.wstrb.eq(Cat(word.last_byte >= at for at in range(self._size))),
            port.wlast.eq(left_1 == 0),
            port.bready.eq(state == _State.ANSWER),
            buffer.r_en.eq(sends & port.wready),
        ]
        with m.If(port.awready):
            m.d.sync += port.awvalid.eq(0)
        with m.If(idle & due.valid):
            m.d.sync += [state.eq(_State.SEND), port.awvalid.eq(1), sent.eq(due.payload)]
            m.d.sync += left_1.eq(due.payload.length_1)
        with m.If(port.wvalid & port.wready):
            m.d.sync += left_1.eq(left_1 - 1)
            with m.If(port.wlast):
                m.d.sync += state.eq(_State.ANSWER)
        with m.If(port.bvalid & port.bready):
            m.d.sync += state.eq(_State.IDLE)
