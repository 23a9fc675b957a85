"""The memory master keeps to AXI4 whatever the memory answers, asks for no more than it has room for, and stops at once."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect, flipped

from deeplock.hw.basics.axi import AxiRead, AxiWrite
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.memory import read_channel, read_master, write_channel
from deeplock.hw.memory.transfer import TRANSFER, burst_layout, read_layout
from deeplock.pymodel.spec.memory import ADDRESS_BITS, MemoryOptions
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove, stays

SIZE, LONGEST, DEPTH = 4, 2, 4
OPTIONS = MemoryOptions(burst=LONGEST, outstanding=2)


class Channel(wiring.Component):
    """A read channel with free neighbours; beats come only when they were asked for."""

    def __init__(self, channel: wiring.Component):
        self._channel = channel
        super().__init__(
            {
                "transfer": In(stream.Signature(TRANSFER)),
                "stop": In(1),
                "comes": In(1),
                "beat": In(read_layout(SIZE)),
                "asks": In(1),
                "takes": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.channel = channel = self._channel
        connect(m, flipped(self.transfer), channel.transfer)
        m.d.comb += [
            channel.beats.valid.eq(self.comes),
            channel.beats.payload.eq(self.beat),
            channel.stop.eq(self.stop),
            channel.burst.ready.eq(self.asks),
            channel.outlet.ready.eq(self.takes),
        ]
        burst, asked = channel.burst, channel.burst.valid & channel.burst.ready
        awaited, inside = Signal(range(2 * DEPTH)), Signal(range(2 * DEPTH))
        length = Mux(asked, burst.payload.length_1 + 1, 0)
        taken = channel.outlet.valid & channel.outlet.ready
        ordinary = Signal(init=1)  # nothing went wrong, and nothing was stopped
        m.d.sync += [
            awaited.eq(awaited + length - self.comes),
            inside.eq(inside + length - taken),
            ordinary.eq(ordinary & ~self.stop & ~(self.comes & self.beat.wrong)),
        ]
        m.d.comb += [
            Assume(implies(self.comes, awaited)),
            # LONGEST divides a page of 4 KiB
            Assert((burst.payload.beat[0] + burst.payload.length_1 < LONGEST) | ~burst.valid),
            Assert(implies(ordinary, inside <= DEPTH)),
            Assert(awaited <= DEPTH),
            Assert(implies(past(m, self.stop), ~burst.valid)),
            Assert(implies(awaited, channel.busy)),
        ]
        return m


class Reads(wiring.Component):
    """A read master with free channels, whose bursts have one beat, and a memory that answers what it likes, when it likes."""

    def __init__(self, master: wiring.Component):
        self._master = master
        burst = stream.Signature(burst_layout(SIZE, LONGEST))
        super().__init__({"bursts": In(burst).array(2), "stop": In(1), "port": In(AxiRead(SIZE, ADDRESS_BITS).flip())})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.master = master = self._master
        port = master.port
        for mine, its in zip(self.bursts, master.bursts, strict=True):
            connect(m, flipped(mine), its)
            m.d.comb += Assume(mine.payload.length_1 == 0)
        connect(m, port, flipped(self.port))
        m.d.comb += master.stop.eq(self.stop)
        begun = Cat(each.valid & each.ready for each in master.bursts)
        came = Cat(each.valid for each in master.beats)
        there = [Signal(range(OPTIONS.outstanding + 2), name=f"there_{number}") for number in range(2)]
        for number, count in enumerate(there):
            m.d.sync += count.eq(count + begun[number] - came[number])
            m.d.comb += Assert(implies(came[number], count))
        m.d.comb += [
            Assert(there[0] + there[1] <= OPTIONS.outstanding),
            Assert(~(begun[0] & begun[1])),
            Assert(stays(m, port.arvalid, port.arready, port.araddr, port.arlen)),
            Assert(implies(came.any(), port.rvalid)),
        ]
        return m


class Writes(wiring.Component):
    """A write channel with a free accelerator, and a memory that answers every write once, when it likes."""

    def __init__(self, channel: wiring.Component):
        self._channel = channel
        super().__init__(
            {
                "transfer": In(stream.Signature(TRANSFER)),
                "stop": In(1),
                "inlet": In(stream.Signature(beat_layout(2, keep=True))),
                "port": In(AxiWrite(SIZE, ADDRESS_BITS).flip()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.channel = channel = self._channel
        port = channel.port
        connect(m, flipped(self.transfer), channel.transfer)
        connect(m, flipped(self.inlet), channel.inlet)
        connect(m, port, flipped(self.port))
        m.d.comb += channel.stop.eq(self.stop)
        addresses, data = Signal(5), Signal(5)  # taken, and not answered
        m.d.sync += [
            addresses.eq(addresses + (port.awvalid & port.awready) - port.bvalid),
            data.eq(data + (port.wvalid & port.wready) - port.bvalid),
        ]
        m.d.comb += [
            Assume(implies(port.bvalid, (addresses != 0) & (data != 0))),
            Assert(stays(m, port.awvalid, port.awready, port.awaddr)),
            Assert(stays(m, port.wvalid, port.wready, port.wdata, port.wstrb)),
            Assert(addresses + port.awvalid == data + port.wvalid),
            Assert(addresses + port.awvalid <= 15),
            Assert(implies(addresses, channel.busy)),
            Assert(implies(port.wvalid, port.wstrb[0])),
        ]
        return m


def channel(module=read_channel) -> wiring.Component:
    return Channel(module.ReadChannel(SIZE, SIZE, LONGEST, DEPTH))


def reads(module=read_master) -> wiring.Component:
    return Reads(module.ReadMaster(SIZE, OPTIONS, 2))


def writes(module=write_channel) -> wiring.Component:
    return Writes(module.WriteChannel(SIZE, 2))


PROPERTIES = {
    channel: (
        "ReadChannel",
        "a burst stays within its block, the buffer has room for all that was asked for, and STOP ends the asking",
    ),
    reads: ("ReadMaster", "an address stays until it is taken, and no more bursts are on their way than were allowed"),
    writes: ("WriteChannel", "an address and data stay until they are taken, and belong together"),
}


@pytest.mark.parametrize("harness", PROPERTIES)
def test_the_memory_master_keeps_to_the_rules(harness, proves):
    design, property = PROPERTIES[harness]
    proves(harness(), property, design)


@pytest.mark.parametrize(
    "harness, module, right, wrong",
    [
        (channel, read_channel, "Mux(ends, left_1, to_end_1)", "left_1"),
        (channel, read_channel, "<= self._depth - self._longest", "<= self._depth - self._longest + 1"),
        (channel, read_channel, "(awaited + buffer.level", "(awaited"),
        (channel, read_channel, "self.busy.eq(delivering | (awaited != 0)", "self.busy.eq(delivering"),
        (reads, read_master, "(~port.arvalid | port.arready) & order.w_rdy", "order.w_rdy"),
        (reads, read_master, "(~port.arvalid | port.arready) & order.w_rdy", "~port.arvalid | port.arready"),
        (reads, read_master, "eq(may & ~others)", "eq(may)"),
        (writes, write_channel, "~offers & (unanswered != _UNANSWERED)", "(unanswered != _UNANSWERED)"),
        (writes, write_channel, "with m.If(whole | ready):", "with m.If(whole | ready | self.stop):"),
        (writes, write_channel, "self.busy.eq(packing | offers | unanswered.any())", "self.busy.eq(packing | offers)"),
    ],
)
def test_a_memory_master_with_a_fault_is_refuted(harness, module, right, wrong):
    assert not prove(harness(mutant(module, right, wrong))).proved
