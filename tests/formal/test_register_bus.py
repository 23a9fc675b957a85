"""The register file answers every access once, and its answers stay until they are taken."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from deeplock.hw.basics.axi import AxiLite
from deeplock.hw.control import registers
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import COUNTERS
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove, stays

CONFIGS = {
    "deep-lock 8x8": Config(),
    "deep-lock 4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
    "plain 8x8": Config(suite="plain"),
}
WRITE_WAIT, READ_WAIT = 1, 4
"""Cycles that an access waits at most, if no answer is owed. A read of a counter waits the fourth if the counters restart."""


class Bus(wiring.Component):
    """A register file with a free, well-behaved manager and a free core."""

    def __init__(self, file: wiring.Component):
        self._file = file
        super().__init__(
            {
                "s_axil": In(AxiLite(registers.ADDRESS_BITS)),
                "status": In(16),
                "zeroise": In(1),
                "events": In(len(COUNTERS)),
                "restart": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.file = file = self._file
        bus = self.s_axil
        connect(m, flipped(bus), file.s_axil)
        m.d.comb += [
            file.control.status.eq(self.status),
            file.control.zeroise.eq(self.zeroise),
            file.counters.events.eq(self.events),
            file.counters.restart.eq(self.restart),
            # runs are further apart
            *(Assume(implies(self.restart, ~past(m, self.restart, cycles))) for cycles in (1, 2, 3)),
            Assume(stays(m, bus.awvalid, bus.awready, bus.awaddr)),
            Assume(stays(m, bus.wvalid, bus.wready, bus.wdata, bus.wstrb)),
            Assume(stays(m, bus.arvalid, bus.arready, bus.araddr)),
            Assert(stays(m, bus.bvalid, bus.bready, bus.bresp)),
            Assert(stays(m, bus.rvalid, bus.rready, bus.rdata, bus.rresp)),
        ]
        write, read = bus.awvalid & bus.awready, bus.arvalid & bus.arready
        m.d.comb += Assert(write == (bus.wvalid & bus.wready))
        for accepted, valid, ready, asks, most in (
            (write, bus.bvalid, bus.bready, bus.awvalid & bus.wvalid, WRITE_WAIT),
            (read, bus.rvalid, bus.rready, bus.arvalid, READ_WAIT),
        ):
            owed, waited = Signal(), Signal(range(most + 2))
            m.d.sync += [owed.eq(accepted | (owed & ~(valid & ready))), waited.eq(0)]
            with m.If(asks & ~accepted & ~owed):
                m.d.sync += waited.eq(waited + 1)
            m.d.comb += Assert(valid == owed)
            m.d.comb += Assert(~(accepted & owed))
            m.d.comb += Assert(waited <= most)
        return m


@pytest.mark.parametrize("name", CONFIGS)
def test_every_access_gets_one_answer(name, proves):
    harness = Bus(registers.RegisterFile(CONFIGS[name]))
    proves(
        harness,
        "every AXI4-Lite access is taken in bounded time and gets one answer, which stays",
        f"registers, {name}",
    )


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("bus.wready.eq(accept)", "bus.wready.eq(begin)"),
        ("with m.If(bus.bready):", "with m.If(bus.bready | bus.awvalid):"),
        ("& ~accept & ~bus.bvalid", "& ~accept"),
        ("& ~bus.arready & ~bus.rvalid", "& ~bus.arready"),
        ("with m.If(bus.arready):", "with m.If(1):"),
        ("with m.If(accept):", "with m.If(accept | bus.bvalid):"),
    ],
)
def test_a_register_file_with_a_fault_is_refuted(right, wrong):
    assert not prove(Bus(mutant(registers, right, wrong).RegisterFile(Config()))).proved
