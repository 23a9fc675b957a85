"""Register INTERRUPT and the output `irq` of the register file, over AXI4-Lite. tests/formal/test_control.py proves them."""

import pytest
from amaranth.hdl import Signal

from deeplock.hw.basics.axi import Response
from deeplock.pymodel.spec.registers import Error, Interrupt, Status, address
from tests.hw.register_bus import run

ALL = Interrupt.LOADED | Interrupt.DONE | Interrupt.ERROR
CAUSES = {Interrupt.LOADED: Status.LOADED, Interrupt.DONE: Status.DONE, Interrupt.ERROR: Error.NONE_LEFT << 8}


async def allow(bus, causes: int) -> None:
    assert await bus.write(address("INTERRUPT"), causes) == Response.OKAY


def test_interrupt_keeps_a_bit_for_each_cause_also_while_busy():
    async def testbench(bus):
        for status in (0, Status.BUSY):
            bus.ctx.set(bus.dut.control.status, status)
            for value in (0, *Interrupt, ALL, 0xFFFF_FFFF, 0xFFFF_FFFF & ~ALL):
                await allow(bus, value)
                assert await bus.read(address("INTERRUPT")) == (value & ALL, Response.OKAY)

    run(testbench)


def test_irq_is_high_a_cycle_after_status_shows_a_cause_that_is_allowed():
    async def testbench(bus):
        status, irq = bus.dut.control.status, bus.dut.irq
        for allowed in range(8):
            causes = [cause for bit, cause in enumerate(Interrupt) if allowed >> bit & 1]
            await allow(bus, sum(causes))
            for cause, shown in CAUSES.items():
                for rest in (0, 0xFF & ~(Status.LOADED | Status.DONE)):
                    bus.ctx.set(status, shown | rest)
                    assert not bus.ctx.get(irq), "not in the same cycle"
                    await bus.tick()
                    bus.ctx.set(status, rest)
                    assert bus.ctx.get(irq) == (cause in causes)
                    await bus.tick()
                    assert not bus.ctx.get(irq), "a level, which goes with its cause"

    run(testbench)


@pytest.mark.parametrize("error", Error)
def test_each_error_is_one_cause(error):
    async def testbench(bus):
        await allow(bus, Interrupt.ERROR)
        bus.ctx.set(bus.dut.control.status, error << 8)
        await bus.tick()
        assert bus.ctx.get(bus.dut.irq) == (error != Error.NONE)

    run(testbench)


@pytest.mark.parametrize("before, after", [(0, ALL), (ALL, 0), (Interrupt.DONE, Interrupt.ERROR)])
def test_a_write_of_interrupt_shows_a_cycle_after_its_answer(before, after):
    async def testbench(bus):
        await allow(bus, before)
        bus.ctx.set(bus.dut.control.status, Status.DONE)
        await bus.tick()
        assert bus.ctx.get(bus.dut.irq) == bool(before & Interrupt.DONE)
        bus.ctx.set(bus.awaddr, address("INTERRUPT"))
        bus.ctx.set(bus.wdata, after)
        bus.ctx.set(bus.wstrb, 0xF)
        for valid in (bus.awvalid, bus.wvalid):
            bus.ctx.set(valid, 1)
        while not bus.ctx.get(bus.bvalid):
            await bus.tick()
        assert bus.ctx.get(bus.dut.irq) == bool(before & Interrupt.DONE)
        await bus.tick()
        assert bus.ctx.get(bus.dut.irq) == bool(after & Interrupt.DONE)

    run(testbench)


def test_a_reset_takes_irq_and_the_bits():
    reset = Signal()

    async def testbench(bus):
        assert not bus.ctx.get(bus.dut.irq)
        await allow(bus, ALL)
        bus.ctx.set(bus.dut.control.status, Status.DONE)
        await bus.tick()
        assert bus.ctx.get(bus.dut.irq)
        bus.ctx.set(reset, 1)
        await bus.tick()
        bus.ctx.set(reset, 0)
        for _ in range(3):
            assert not bus.ctx.get(bus.dut.irq)
            await bus.tick()
        assert await bus.read(address("INTERRUPT")) == (0, Response.OKAY)

    run(testbench, reset=reset)
