"""Read master: sends the bursts of several channels to a memory by AXI4, several at a time, and parts what comes."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from deeplock.hw.basics.axi import AxiRead, Response
from deeplock.hw.memory.transfer import burst_layout, burst_on, read_layout
from deeplock.pymodel.spec.memory import ADDRESS_BITS, Error, MemoryOptions

__all__ = ["ReadMaster"]


class ReadMaster(wiring.Component):
    """One ID, so data come in the order of the addresses. `outstanding` bursts are on their way at a time, from AR to their
    last beat. A channel always takes its beats, so `rready` is high.

    A beat is wrong if the memory answers with SLVERR or DECERR. A burst ends with `rlast` or with its length, whatever comes
    first. If these do not agree, beats that are missing are made up, and all further ones are wrong until `stop`: which burst
    they belong to is not known. So each channel gets as many beats as it asked for, whatever the memory does but fall silent.
    Beats that nobody asked for are dropped.

    Latency: 1 cycle from a burst to AR, 0 from R to the beats. Throughput: a burst and a beat a cycle.

    size      bytes of a beat
    channels  number of them; the first one that asks goes first

    Members:
        bursts  of each channel
        beats   to each channel
        stop    pulse
        error   Error code for one cycle, else Error.NONE
        port    AXI4
    """

    def __init__(self, size: int, options: MemoryOptions, channels: int):
        self._size, self._options, self._channels = size, options, channels
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout(size, options.burst))).array(channels),
                "beats": Out(stream.Signature(read_layout(size), always_ready=True)).array(channels),
                "stop": In(1),
                "error": Out(8),
                "port": Out(AxiRead(size, ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        port, burst = self.port, burst_layout(self._size, self._options.burst)
        shape = data.StructLayout({"length_1": exact_log2(self._options.burst), "channel": ceil_log2(self._channels)})
        m.submodules.order = order = SyncFIFO(width=shape.size, depth=self._options.outstanding)
        sent, coming = data.View(shape, order.w_data), data.View(shape, order.r_data)

        # addresses
        may, offered = Signal(), Signal(burst, reset_less=True)
        m.d.comb += may.eq((~port.arvalid | port.arready) & order.w_rdy)
        with m.If(port.arready):
            m.d.sync += port.arvalid.eq(0)
        others = Const(0)
        for number, each in enumerate(self.bursts):
            m.d.comb += each.ready.eq(may & ~others)
            others = others | each.valid
            with m.If(each.valid & each.ready):
                m.d.comb += [sent.length_1.eq(each.payload.length_1), sent.channel.eq(number), order.w_en.eq(1)]
                m.d.sync += [port.arvalid.eq(1), offered.eq(each.payload)]
        m.d.comb += burst_on(port, "ar", offered.beat, offered.length_1, self._size)

        # data
        count, short, lost = Signal.like(coming.length_1), Signal(), Signal()
        taken, ends, disagrees = Signal(), Signal(), Signal()
        m.d.comb += [
            port.rready.eq(~short),
            taken.eq(order.r_rdy & (port.rvalid | short)),
            ends.eq(count == coming.length_1),
            disagrees.eq(~short & (port.rlast ^ ends)),
            order.r_en.eq(taken & ends),
        ]
        with m.If(taken):
            m.d.sync += [count.eq(Mux(ends, 0, count + 1)), short.eq(~ends & (short | port.rlast))]
            with m.If(disagrees):
                m.d.sync += lost.eq(1)
                m.d.comb += self.error.eq(Error.READ_LENGTH)
            with m.Elif(~short & ~lost & (port.rresp == Response.SLVERR)):
                m.d.comb += self.error.eq(Error.READ_SLVERR)
            with m.Elif(~short & ~lost & (port.rresp == Response.DECERR)):
                m.d.comb += self.error.eq(Error.READ_DECERR)
        with m.If(self.stop):
            m.d.sync += lost.eq(0)
        for number, each in enumerate(self.beats):
            m.d.comb += [
                each.valid.eq(taken & (coming.channel == number)),
                each.payload.data.eq(port.rdata),
                each.payload.wrong.eq(port.rresp[1] | disagrees | short | lost),
            ]
        return m
