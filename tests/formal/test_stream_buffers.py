"""Stream buffers keep their items, and their order, whatever the pauses and resets."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from deeplock.hw.basics import stream_buffers
from tests.formal.mutant import mutant
from tests.formal.prover import implies, prove, stays

BITS = 40
"""More than one control register drives."""


class Keeps(wiring.Component):
    """Every item comes out once, in order and unchanged, and no other. An item that `picks` chooses freely is followed: what
    holds of it holds of all."""

    def __init__(self, buffer: wiring.Component, capacity: int = 1):
        self._buffer, self._capacity = buffer, capacity
        super().__init__({"valid": In(1), "payload": In(BITS), "ready": In(1), "picks": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.buffer = buffer = self._buffer
        inlet, outlet = buffer.inlet, buffer.outlet
        m.d.comb += [inlet.valid.eq(self.valid), inlet.payload.eq(self.payload), outlet.ready.eq(self.ready)]
        m.d.comb += Assume(stays(m, inlet.valid, inlet.ready, inlet.payload))
        comes, goes = Signal(), Signal()
        m.d.comb += [comes.eq(inlet.valid & inlet.ready), goes.eq(outlet.valid & outlet.ready)]

        inside = Signal(range(self._capacity + 2))
        m.d.sync += inside.eq(inside + comes - goes)
        m.d.comb += [
            Assert(inside <= self._capacity),
            Assert(implies(inside, outlet.valid)),
            Assert(implies(outlet.valid, inside | inlet.valid)),
            Assert(implies(goes, inside | comes)),
            Assert(stays(m, outlet.valid, outlet.ready, outlet.payload)),
        ]

        followed, ahead, item = Signal(), Signal.like(inside), Signal(BITS)
        picked = comes & self.picks & ~followed
        now, ahead_now, item_now = followed | picked, Mux(picked, inside, ahead), Mux(picked, inlet.payload, item)
        m.d.sync += [followed.eq(now & ~(goes & (ahead_now == 0))), ahead.eq(ahead_now - goes), item.eq(item_now)]
        m.d.comb += Assert(implies(now & goes & (ahead_now == 0), outlet.payload == item_now))
        return m


@pytest.mark.parametrize("name", stream_buffers.__all__)
def test_a_buffer_keeps_and_orders_its_items(name, proves):
    harness = Keeps(getattr(stream_buffers, name)(BITS))
    proves(harness, "a stream buffer keeps and orders its items, and what it offers stays", name)


@pytest.mark.parametrize(
    "name, right, wrong",
    [
        ("SkidBuffer", "full.eq(stays)", "full.eq(stays & inlet.valid)"),
        ("SkidBuffer", "keeps.eq(stays)", "keeps.eq(outlet.valid)"),
        ("SkidBuffer", "full | inlet.valid", "full"),
        ("SkidBuffer", "m.d.sync += keeps", "if first == 0: m.d.sync += keeps"),
        ("StreamRegister", "~valid | outlet.ready", "outlet.ready | 1"),
        ("StreamRegister", "outlet.valid.eq(valid)", "outlet.valid.eq(valid & inlet.valid)"),
        ("StreamRegister", "held.eq(inlet.payload)", "held.eq(held)"),
    ],
)
def test_a_buffer_with_a_fault_is_refuted(name, right, wrong):
    faulty = getattr(mutant(stream_buffers, right, wrong), name)
    assert not prove(Keeps(faulty(BITS))).proved
