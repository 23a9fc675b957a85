"""The memory master's registers against their map, over AXI4-Lite, in the Amaranth simulator."""

from pathlib import Path

import pytest
from amaranth.sim import Simulator

from deeplock.hw.basics.axi import Response
from deeplock.hw.memory.registers import MemoryRegisters
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import (
    ID,
    REGISTERS,
    Channel,
    Command,
    Error,
    Interrupt,
    MemoryOptions,
    Status,
    address,
    markdown_table,
)
from deeplock.pymodel.spec.registers import Access
from tests.hw.memory_tools import MemoryBus

CONFIG = Config(rows=4, cols=16, bytes_per_beat=16, lanes=2)
TRANSFER = {"ADDRESS": 0x1234_5670, "BYTES": 0x12_3450, "PACKETS": 0xFFFF}


def run(testbench) -> None:
    dut = MemoryRegisters(CONFIG)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def process(ctx):
        await testbench(MemoryBus(dut, ctx), ctx)

    simulator.add_testbench(process)
    simulator.run()


def test_what_can_be_read_is_read_and_nothing_else():
    async def testbench(bus, ctx):
        await bus.set("INTERRUPT", 0xFFFF_FFFF)
        expected = {"ID": ID, "STATUS": Status.IDLE, "INTERRUPT": Interrupt.IDLE | Interrupt.ERROR}
        mapped = {register.address: register for register in REGISTERS}
        for where in [*range(0, 0x100, 4), 0x400, 0x804, 0xFFC]:
            for delay in (0, 3):
                value, response = await bus.read(where, delay)
                assert response == (Response.OKAY if where in mapped else Response.SLVERR), hex(where)
                assert value == (expected.get(mapped[where].name, 0) if where in mapped else 0), hex(where)
            if where not in mapped or mapped[where].access == Access.READ:
                assert await bus.write(where, 1) == Response.SLVERR
        assert {r.name for r in REGISTERS if r.access != Access.WRITE} == expected.keys()

    run(testbench)


def test_the_page_has_the_tables():
    text = (Path(__file__).parents[3] / "docs" / "registers.md").read_text()
    assert markdown_table() in text, (
        "docs/registers.md: put the output of deeplock.pymodel.spec.memory.markdown_table() in"
    )


def test_a_write_and_a_read_take_three_cycles():
    async def testbench(bus, ctx):
        await bus.set("PACKETS", 1)
        assert bus.cycles == 3
        await bus.status()
        assert bus.cycles == 3

    run(testbench)


@pytest.mark.parametrize("delays", [(0, 0, 0), (3, 0, 2), (0, 3, 1)])
@pytest.mark.parametrize("channel", Channel)
def test_a_transfer_waits_for_its_channel(channel, delays):
    async def testbench(bus, ctx):
        transfers, command = bus.dut.transfers, Command(1 << channel)
        for name, value in TRANSFER.items():
            assert await bus.write(address(name), value, 0xF, *delays) == Response.OKAY
        await bus.set("CONTROL", command)
        assert [ctx.get(each.valid) for each in transfers] == [each == channel for each in Channel]
        payload = ctx.get(transfers[channel].payload)
        assert (payload.address, payload.bytes_1 + 1, payload.packets) == tuple(TRANSFER.values())
        assert await bus.status() == Status.PENDING
        for name, value in (*TRANSFER.items(), *(("CONTROL", each) for each in Command if each != Command.STOP)):
            await bus.refuses(name, value)
        ctx.set(transfers[channel].ready, 1)
        await ctx.tick()
        ctx.set(transfers[channel].ready, 0)
        ctx.set(bus.dut.busy, 1 << channel)
        assert not ctx.get(transfers[channel].valid)
        assert await bus.status() == Status(1 << channel)
        await bus.set("CONTROL", command)  # the same again
        assert await bus.status() == Status(1 << channel) | Status.PENDING
        await bus.set("CONTROL", Command.STOP)
        assert await bus.status() == Status(1 << channel)

    run(testbench)


def test_values_that_are_not_taken_are_refused_and_change_nothing():
    async def testbench(bus, ctx):
        await bus.refuses("CONTROL", Command.LOADABLE)  # no BYTES yet
        for name, value in TRANSFER.items():
            await bus.set(name, value)
        for name, value in (
            *(("ADDRESS", TRANSFER["ADDRESS"] + offset) for offset in (1, 8)),
            *(("BYTES", value) for value in (0, 1 << 24, 0x8000_0010)),
            *(("PACKETS", value) for value in (0, 1 << 16)),
            *(("CONTROL", value) for value in (0, 3, 5, 9, 16, 1 << 31)),
        ):
            await bus.refuses(name, value)
        assert await bus.write(address("BYTES"), 0x10, strobe=0x7) == Response.SLVERR
        for size, taken in ((24, {Channel.IFMAP, Channel.OFMAP}), (33, {Channel.OFMAP}), (32, set(Channel))):
            await bus.set("BYTES", size)
            for channel in Channel:
                await (bus.set if channel in taken else bus.refuses)("CONTROL", Command(1 << channel))
                await bus.set("CONTROL", Command.STOP)
        payload = ctx.get(bus.dut.transfers[0].payload)
        assert (payload.address, payload.packets) == (TRANSFER["ADDRESS"], TRANSFER["PACKETS"])

    run(testbench)


def test_the_first_error_stays_until_stop_and_refuses_transfers():
    async def testbench(bus, ctx):
        await bus.set("BYTES", 16)
        await bus.set("PACKETS", 1)
        for first in Error:
            if first == Error.NONE:
                continue
            for error in (first, Error.WRITE_DECERR):
                ctx.set(bus.dut.error, error)
                await ctx.tick()
                ctx.set(bus.dut.error, Error.NONE)
                await ctx.tick()
            assert await bus.status() == Status.IDLE | first << 8
            for channel in Channel:
                await bus.refuses("CONTROL", Command(1 << channel))
            await bus.set("CONTROL", Command.STOP)
            assert await bus.status() == Status.IDLE

    run(testbench)


def test_irq_is_a_level_a_cycle_behind_status():
    async def testbench(bus, ctx):
        async def shows(value: int) -> None:
            await ctx.tick()
            assert ctx.get(bus.dut.irq) == value

        await shows(0)
        await bus.set("INTERRUPT", Interrupt.IDLE)
        await shows(1)
        ctx.set(bus.dut.busy, 4)
        await shows(0)
        ctx.set(bus.dut.error, Error.WRITE_SLVERR)
        await ctx.tick()
        ctx.set(bus.dut.error, Error.NONE)
        await shows(0)
        await bus.set("INTERRUPT", Interrupt.ERROR)
        await shows(1)
        await bus.set("CONTROL", Command.STOP)
        await shows(0)

    run(testbench)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"burst": 1}, "burst must be a power of two from 2 to 256, not 1"),
        ({"burst": 24}, "burst must be a power of two from 2 to 256, not 24"),
        ({"outstanding": 32}, "outstanding must be a power of two from 1 to 16, not 32"),
        ({"outstanding": 0}, "outstanding must be a power of two from 1 to 16, not 0"),
    ],
)
def test_options_that_cannot_be_are_named(fields, message):
    with pytest.raises(DeeplockError, match=f"^{message}$"):
        MemoryOptions(**fields)
