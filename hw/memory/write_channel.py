"""Write channel: packs the bytes of ofmaps into beats and writes them to a memory by AXI4."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from deeplock.hw.basics.axi import AxiWrite, Response
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.memory.transfer import TRANSFER, burst_on
from deeplock.pymodel.spec.memory import ADDRESS_BITS, Error

__all__ = ["WriteChannel"]

_UNANSWERED = 15
"""Most writes without an answer."""


class WriteChannel(wiring.Component):
    """Writes the packets of a transfer one behind the other, each from the next whole beat of memory on, in bursts of one beat:
    an ofmap is short. Bytes behind a packet's end are not strobed. Up to 15 writes wait for their answers.

    A packet that does not end with its last byte is an error, and so is a write that the memory refuses. After an error packets
    are taken and dropped until `stop`. `stop` ends the transfer; a beat that is offered to the memory is completed.

    Latency: 1 cycle from the last byte of a beat to AW and W; for a packet's last beat 1 more for each byte that it lacks.
    Throughput: a byte a cycle, and 1 cycle more for each beat.

    size   bytes of a beat in memory
    width  bytes of a beat at the inlet, of which the first ones are valid

    Members:
        transfer  taken when the one before is over
        stop      pulse: end the transfer
        inlet     packets; without a transfer they wait
        busy      a transfer is going on, or an answer is missing
        error     Error code for one cycle, else Error.NONE
        port      AXI4
    """

    def __init__(self, size: int, width: int):
        self._size, self._width = size, width
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
        port, transfer = self.port, self.transfer.payload
        sink, bad_length, whole = Signal(), Signal(), Signal()
        beat, unanswered = Signal(ADDRESS_BITS - exact_log2(self._size)), Signal(range(_UNANSWERED + 1))
        offers = port.awvalid | port.wvalid
        packing = self._pack(m, ~offers & (unanswered != _UNANSWERED), sink, bad_length, whole)

        m.d.comb += [
            self.busy.eq(packing | offers | unanswered.any()),
            self.transfer.ready.eq(~self.busy & ~self.stop & ~sink),
            port.wlast.eq(1),
            port.bready.eq(1),
        ]
        m.d.comb += burst_on(port, "aw", beat, 0, self._size)
        m.d.sync += unanswered.eq(unanswered + whole - port.bvalid)
        for valid, ready in ((port.awvalid, port.awready), (port.wvalid, port.wready)):
            with m.If(whole | ready):
                m.d.sync += valid.eq(whole)
        with m.If(offers & (port.awready | ~port.awvalid) & (port.wready | ~port.wvalid)):
            m.d.sync += beat.eq(beat + 1)
        with m.If(self.transfer.valid & self.transfer.ready):
            m.d.sync += beat.eq(transfer.address[exact_log2(self._size) :])

        with m.If(port.bvalid & (port.bresp == Response.SLVERR)):
            m.d.comb += self.error.eq(Error.WRITE_SLVERR)
        with m.Elif(port.bvalid & (port.bresp == Response.DECERR)):
            m.d.comb += self.error.eq(Error.WRITE_DECERR)
        with m.Elif(bad_length):
            m.d.comb += self.error.eq(Error.OFMAP_LENGTH)
        with m.If(self.error.any()):
            m.d.sync += sink.eq(1)
        with m.If(self.stop):
            m.d.sync += sink.eq(0)
        return m

    def _pack(self, m: Module, may: Value, sink: Signal, bad_length: Signal, whole: Signal) -> Value:
        """Shift byte after byte into a beat until its first one is in its place. `bad_length` and `whole`, a beat is complete,
        are driven. Returns whether bytes are still to come."""
        inlet, port, transfer = self.inlet, self.port, self.transfer.payload
        packets, packet_1, left_1 = (
            Signal.like(field) for field in (transfer.packets, transfer.bytes_1, transfer.bytes_1)
        )
        lane, place, last_place = Signal(range(self._width)), Signal(range(self._size)), Signal(range(self._size))
        fills = Signal()  # the packet has ended; the rest of its beat is filled up
        byte = inlet.payload.data.word_select(lane, 8)
        more = inlet.payload.keep[1:].bit_select(lane, 1) if self._width > 1 else Const(0)
        taken, ends, packs, shifts = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(left_1 == 0),
            taken.eq(inlet.valid & packets.any() & may & ~fills & ~sink),
            packs.eq(taken & (ends == (inlet.payload.last & ~more))),
            bad_length.eq(taken & ~packs),
            inlet.ready.eq(sink | (taken & ~more)),
            shifts.eq(packs | fills),
            whole.eq(shifts & (place == self._size - 1)),
            port.wstrb.eq(Cat(1, *(last_place >= at for at in range(1, self._size)))),
        ]
        with m.If(taken):
            m.d.sync += lane.eq(Mux(more, lane + 1, 0))
        with m.If(shifts):
            m.d.sync += [
                port.wdata.eq(Cat(port.wdata[8:], byte)),
                place.eq(place + 1),
                fills.eq((ends | fills) & ~whole),
            ]
        with m.If(packs):
            m.d.sync += [last_place.eq(place), left_1.eq(left_1 - 1)]
            with m.If(ends):
                m.d.sync += [left_1.eq(packet_1), packets.eq(packets - 1)]
        with m.If(self.stop):
            m.d.sync += [packets.eq(0), lane.eq(0), place.eq(0), fills.eq(0)]
        with m.If(self.transfer.valid & self.transfer.ready):
            m.d.sync += [packets.eq(transfer.packets), packet_1.eq(transfer.bytes_1), left_1.eq(transfer.bytes_1)]
        return packets.any() | fills
