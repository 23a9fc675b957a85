"""A link whose host or line does not do what it should: malformed requests, bytes lost and damaged, silence, resets."""

from functools import partial
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.frames import REQUEST_SYNC, VERSION, Command, Frame, Info, State, write_item
from deeplock.fpga.gateware.link import Link
from deeplock.fpga.host.client import LinkClient
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import address
from tests.fpga.link_tools import (
    CLOCK,
    CONFIG,
    GEOMETRY,
    BytePipe,
    Registers,
    config_of,
    give_ofmaps,
    raw,
    run,
    take_ifmaps,
)
from tests.hw.stream_tools import simulate


def test_what_is_no_command_is_refused_and_a_part_of_an_item_is_ignored(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))
    beats = []

    async def testbench(ctx):
        for command in range(8, 16):
            for payload in (b"", bytes(40)):
                assert await raw(ctx, dut, command, payload) == (b"", State.REFUSED | State.IFMAP)
        assert await raw(ctx, dut, Command.WRITE, write_item(4, 4) + bytes(4)) == (b"", State.IFMAP)
        assert await raw(ctx, dut, Command.SEND, bytes(7)) == (b"", State.IFMAP)
        assert await raw(ctx, dut, Command.STREAM, bytes(5)) == (b"", State.IFMAP)
        assert registers.written == [(4, 4)]
        assert beats == [(0, 0)]

    run(dut, testbench, registers.work, partial(take_ifmaps, dut=dut, beats=beats, ready=lambda: True))


@pytest.mark.parametrize("damage", [0.0, 0.005])
def test_over_a_line_that_loses_and_damages_bytes_everything_happens_once_and_in_order(damage, dice):
    dut = Link(config_of(lanes=1), CLOCK, "testboard")
    registers = Registers(dut, dice, 0.2, GEOMETRY | {address("COUNT"): 0})
    beats = []
    ofmap = dice.randbytes(100)
    offered = [(byte, 1, number == len(ofmap) - 1) for number, byte in enumerate(ofmap)]

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut, damage, Random(dice.random())), timeout=0.12, attempts=100)
        await client.connect()
        values = [dice.randrange(1 << 32) for _ in range(8)]
        for value in values:
            await client.write("COUNT", value)
            assert await client.read("COUNT") == value
        assert registers.written == [(address("COUNT"), value) for value in values]
        ifmap = dice.randbytes(160)
        assert await client.send_ifmap(ifmap)
        assert b"".join(data.to_bytes(4, "little") for data, _ in beats) == ifmap
        assert await client.receive_ofmap() == ofmap

    run(
        dut,
        testbench,
        registers.work,
        partial(take_ifmaps, dut=dut, beats=beats, ready=lambda: True),
        partial(give_ofmaps, dut=dut, beats=offered, dice=dice, pauses=0.0),
        cycles=1_000_000,
    )


def test_a_board_that_falls_silent_is_told(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))

    async def testbench(ctx):
        pipe = BytePipe(ctx, dut)
        client = LinkClient(pipe, timeout=0.05)
        await client.connect()
        pipe.send = lambda data: wait(ctx, 4 * len(data))
        with pytest.raises(DeeplockError, match="^the board: the board does not answer any more$"):
            await client.write("KEY0", 0x12345678)

    run(dut, testbench, registers.work)


async def wait(ctx, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


def test_reset_at_any_time_followed_by_a_right_request(dice):
    dut, reset = Link(CONFIG, CLOCK, "testboard"), Signal()

    async def testbench(ctx):
        ctx.set(dut.ifmap.ready, 1)
        for _ in range(40):
            pipe = BytePipe(ctx, dut)
            command, payload = dice.choice([(Command.SEND, bytes(24)), (Command.INFO, b""), (Command.STREAM, bytes(6))])
            request = Frame(1, command, payload).encode(REQUEST_SYNC)
            await pipe.send(request[: dice.randrange(len(request) + 1)])
            await pipe.receive(dice.randrange(20), 0.01)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.tx.valid) and not ctx.get(dut.flash.valid) and not ctx.get(dut.ifmap.valid)
            data, _ = await raw(ctx, dut, Command.INFO, sequence=1)
            assert Info.decode(data) == Info(VERSION, CLOCK, "testboard")

    simulate(ResetInserter(reset)(dut), testbench, cycles=100_000)
