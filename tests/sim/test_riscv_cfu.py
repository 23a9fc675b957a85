"""The unlock as a custom instruction: hw's S-box and key schedule behind the port, against the suite."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from deeplock.pymodel.lock.suites import suite
from deeplock.sim.riscv.cfu import Cfu
from tests.hw.refusal import assert_refused

KEY = bytes(range(3, 19))
UNLOCK, TAKE_KEY = 0, 1
PLAIN = np.random.default_rng(2).integers(0, 256, 4 * 60, np.uint8)
LOCKED = suite("deep-lock").lock(PLAIN, KEY)


def words(data: bytes) -> list[int]:
    return [int(word) for word in np.frombuffer(data, "<u4")]


def simulate(dut: Cfu, testbench) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


async def command(ctx, dut: Cfu, function: int, operand: int, stall: int = 0) -> int:
    """One instruction, whose response is taken `stall` cycles late; gives the response."""
    ctx.set(dut.cmd_valid, 1)
    ctx.set(dut.function_id, function)
    ctx.set(dut.operand, operand)
    assert ctx.get(dut.cmd_ready)
    await ctx.tick()  # takes the response before this one, too
    ctx.set(dut.rsp_ready, stall == 0)
    ctx.set(dut.operand, ~operand & 0xFFFFFFFF)
    for _ in range(stall):  # the next command waits, and the response stays
        assert ctx.get(dut.rsp_valid) and not ctx.get(dut.cmd_ready)
        await ctx.tick()
    ctx.set(dut.cmd_valid, 0)
    ctx.set(dut.rsp_ready, 1)
    assert ctx.get(dut.rsp_valid)  # latency: the cycle after the command
    return ctx.get(dut.result)


@pytest.mark.parametrize("style", ["lut", "composite"])
@pytest.mark.parametrize("stalls", [(0,), (0, 2, 1)])
def test_words_are_unlocked_in_stream_order(style, stalls):
    dut = Cfu(style)

    async def testbench(ctx):
        for _ in range(2):  # a second key begins the stream anew
            for word in words(KEY):
                await command(ctx, dut, TAKE_KEY, word)
            found = [
                await command(ctx, dut, UNLOCK, word, stalls[index % len(stalls)])
                for index, word in enumerate(words(LOCKED.tobytes()))
            ]
            assert found == words(PLAIN.tobytes())

    simulate(dut, testbench)


def test_without_a_key_nothing_is_unlocked():
    dut = Cfu()

    async def testbench(ctx):
        for word in words(KEY)[:3]:
            await command(ctx, dut, TAKE_KEY, word)
        ctx.set(dut.cmd_valid, 1)
        ctx.set(dut.function_id, UNLOCK)
        for _ in range(5):
            assert not ctx.get(dut.cmd_ready)
            await ctx.tick()

    simulate(dut, testbench)


def test_a_block_ram_is_refused():
    assert_refused("style must be lut or composite, not rom", lambda: Cfu("rom"))
