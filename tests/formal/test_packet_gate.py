"""The packet gate passes everything until it is stopped, and then drops the rest of that packet and no more."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from deeplock.hw.basics import packet_gate
from deeplock.hw.basics.layouts import beat_layout
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove

BEAT = beat_layout(1)


class Gate(wiring.Component):
    """A packet gate with free neighbours. `open`: a beat of a packet was taken, and its last one was not."""

    def __init__(self, gate: wiring.Component):
        self._gate = gate
        super().__init__({"valid": In(1), "beat": In(BEAT), "ready": In(1), "stop": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.gate = gate = self._gate
        m.d.comb += [
            gate.inlet.valid.eq(self.valid),
            gate.inlet.payload.eq(self.beat),
            gate.outlet.ready.eq(self.ready),
            gate.stop.eq(self.stop),
            Assert(gate.outlet.payload.as_value() == self.beat.as_value()),
        ]
        taken, open, still_open = Signal(), Signal(), Signal()
        m.d.comb += [taken.eq(self.valid & gate.inlet.ready), still_open.eq(Mux(taken, ~self.beat.last, open))]
        m.d.sync += open.eq(still_open)
        self.check(m, gate, taken, still_open)
        return m


class StoppedOnce(Gate):
    """The packet that is open after the cycle of `stop` is dropped up to its last beat; everything else passes. A reset makes
    it possible to stop again."""

    def check(self, m, gate, taken, still_open):
        stopped, rest = Signal(), Signal()
        m.d.comb += Assume(~(stopped & self.stop))
        with m.If(self.stop):
            m.d.sync += [stopped.eq(1), rest.eq(still_open)]
        with m.Elif(taken & self.beat.last):
            m.d.sync += rest.eq(0)
        m.d.comb += [
            Assert(gate.flushing == rest),
            Assert(gate.outlet.valid == (self.valid & ~rest)),
            Assert(gate.inlet.ready == (self.ready | rest)),
        ]


class StoppedAgain(Gate):
    """Whatever came before, a `stop` while beats are dropped ends that, and the next beat begins a packet."""

    def check(self, m, gate, taken, still_open):
        again = past(m, self.stop & gate.flushing)
        begins = Signal()  # no beat has been taken since
        m.d.sync += begins.eq((again | begins) & ~taken)
        m.d.comb += [
            Assert(implies(again, ~gate.flushing)),
            Assert(implies(past(m, (again | begins) & ~taken & self.stop), ~gate.flushing)),
            Assert(implies(past(m, ~self.stop) & ~past(m, gate.flushing), ~gate.flushing)),
        ]


PROPERTIES = {
    StoppedOnce: "a packet gate drops exactly the rest of the packet in which it is stopped",
    StoppedAgain: "a second stop ends the dropping",
}


@pytest.mark.parametrize("harness", PROPERTIES)
def test_packets_pass_or_are_dropped_as_a_whole(harness, proves):
    proves(harness(packet_gate.PacketGate(BEAT)), PROPERTIES[harness], "PacketGate")


@pytest.mark.parametrize(
    "harness, right, wrong",
    [
        (StoppedOnce, "~self.inlet.payload.last, inside", "1, inside"),
        (StoppedOnce, "eq(still_inside & ~self.flushing)", "eq(inside & ~self.flushing)"),
        (StoppedOnce, "eq(self.inlet.valid & ~self.flushing)", "eq(self.inlet.valid)"),
        (StoppedOnce, "eq(self.outlet.ready | self.flushing)", "eq(self.outlet.ready)"),
        (StoppedOnce, "with m.Elif(~still_inside)", "with m.Elif(self.inlet.payload.last)"),
        (StoppedAgain, "eq(still_inside & ~self.flushing)", "eq(still_inside)"),
        (StoppedAgain, "inside.eq(0)", "inside.eq(1)"),
    ],
)
def test_a_gate_with_a_fault_is_refuted(harness, right, wrong):
    assert not prove(harness(mutant(packet_gate, right, wrong).PacketGate(BEAT))).proved
