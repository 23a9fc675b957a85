from functools import partial
from random import Random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal

from deeplock.fpga.gateware.uart import UartReceiver, UartTransmitter, divisor
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import check_stable, send, simulate

CLOCK, BAUD = 24e6, 3e6
CYCLES = 8  # a bit


async def wait(ctx, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


async def put(ctx, line, byte: int, stop: int = 1, cycles: float = CYCLES, phase: float = 0.0) -> float:
    """A byte on the line, each bit `cycles` long, beginning `phase` cycles from now; gives the phase of its end."""
    for bit in (0, *(byte >> i & 1 for i in range(8)), stop):
        ctx.set(line, bit)
        phase += cycles
        await wait(ctx, int(phase))
        phase -= int(phase)
    return phase


async def collect(ctx, dut: UartReceiver, got: list[int]) -> None:
    """Run in the background."""
    async for *_, valid, byte in ctx.tick().sample(dut.bytes.valid, dut.bytes.payload):
        if valid:
            got.append(byte)


@pytest.mark.parametrize("error", [-0.02, 0.0, 0.02])
@pytest.mark.parametrize("gaps", [False, True])
def test_every_byte_is_received_from_a_sender_2_percent_off(gaps, error, dice):
    """Also without a gap between bytes, so that no error adds up."""
    dut, got = UartReceiver(CLOCK, BAUD), []
    data = [*range(256), *(dice.randrange(256) for _ in range(50))]

    async def testbench(ctx):
        ctx.set(dut.rx, 1)
        await wait(ctx, 5)
        phase = 0.0
        for byte in data:
            phase = await put(ctx, dut.rx, byte, cycles=CYCLES / (1 + error), phase=phase)
            if gaps:
                await wait(ctx, dice.randrange(30))
        await wait(ctx, 10)

    simulate(dut, testbench, background=[partial(collect, dut=dut, got=got)], cycles=50_000)
    assert got == data


def test_a_byte_comes_3_cycles_after_the_middle_of_its_stop_bit():
    dut = UartReceiver(CLOCK, BAUD)

    async def testbench(ctx):
        ctx.set(dut.rx, 1)
        await wait(ctx, 3)
        ctx.set(dut.rx, 0)
        cycles = 0
        while not ctx.get(dut.bytes.valid):
            await ctx.tick()
            cycles += 1
            ctx.set(dut.rx, cycles >= 9 * CYCLES)
        assert cycles == 9 * CYCLES + CYCLES // 2 + 3
        await ctx.tick()
        assert not ctx.get(dut.bytes.valid)

    simulate(dut, testbench)


def test_glitches_and_bytes_without_stop_bit_are_dropped(dice):
    dut, got, sent = UartReceiver(CLOCK, BAUD), [], []

    async def testbench(ctx):
        ctx.set(dut.rx, 1)
        for _ in range(40):
            match dice.randrange(3):
                case 0:
                    ctx.set(dut.rx, 0)
                    await wait(ctx, dice.randrange(1, CYCLES // 2))
                case 1:
                    await put(ctx, dut.rx, dice.randrange(256), stop=0)
                    await wait(ctx, dice.randrange(20 * CYCLES))  # a break
            ctx.set(dut.rx, 1)
            await wait(ctx, CYCLES)
            sent.append(dice.randrange(256))
            await put(ctx, dut.rx, sent[-1])
        await wait(ctx, 10)

    simulate(dut, testbench, background=[partial(collect, dut=dut, got=got)])
    assert got == sent


def test_transmitted_bits_latency_and_throughput(dice):
    dut = UartTransmitter(CLOCK, BAUD)
    data, line = [dice.randrange(256) for _ in range(20)], []

    async def watch(ctx):
        async for *_, tx in ctx.tick().sample(dut.tx):
            line.append(tx)

    async def write(ctx):
        assert ctx.get(dut.tx)
        await send(ctx, dut.bytes, data)
        await wait(ctx, 10 * CYCLES + 1)
        assert ctx.get(dut.bytes.ready) and ctx.get(dut.tx)

    simulate(dut, write, background=[watch, partial(check_stable, stream=dut.bytes)])
    expected = [1]
    for byte in data:
        for bit in (0, *map(int, f"{byte:08b}"[::-1]), 1):
            expected += [bit] * CYCLES
        expected.append(1)
    assert line[: len(expected)] == expected


@pytest.mark.parametrize("clock,baud", [(24e6, 3e6), (80e6, 3e6), (25e6, 1e6), (4e6, 1e6)])
def test_a_transmitter_and_a_receiver_understand_each_other(clock, baud, dice):
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(clock, baud)
    m.submodules.receiver = receiver = UartReceiver(clock, baud)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    data, got = [dice.randrange(256) for _ in range(30)], []

    async def testbench(ctx):
        await send(ctx, transmitter.bytes, data, 0.5, Random(dice.random()))
        await wait(ctx, 12 * divisor(clock, baud))

    simulate(m, testbench, background=[partial(collect, dut=receiver, got=got)])
    assert got == data


@pytest.mark.parametrize("cycles", range(1, 11 * CYCLES, 7))
def test_reset_in_mid_byte(cycles):
    m, reset = Module(), Signal()
    m.submodules.transmitter = transmitter = UartTransmitter(CLOCK, BAUD)
    m.submodules.receiver = receiver = UartReceiver(CLOCK, BAUD)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    got = []

    async def testbench(ctx):
        await send(ctx, transmitter.bytes, [0x5A])
        await wait(ctx, cycles)
        got.clear()
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert ctx.get(transmitter.tx) and not ctx.get(receiver.bytes.valid)
        await send(ctx, transmitter.bytes, [0xC3])
        await wait(ctx, 12 * CYCLES)
        assert got == [0xC3]

    simulate(ResetInserter(reset)(m), testbench, background=[partial(collect, dut=receiver, got=got)])


def test_faults_of_arguments_are_named():
    assert_refused("the clock must be at least 4 times the baud rate, not 3.00", lambda: UartReceiver(3e6, 1e6))
    assert_refused(
        "12000000 Hz / 5 must be within 2 % of 2500000 baud, not 4.0 %", lambda: UartTransmitter(12e6, 2.5e6)
    )
    assert divisor(80e6, 3e6) == 27
