"""cocotb tests of the models of UART and flash, on tests.fpga.loop; test_link_pins.py runs them."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from deeplock.fpga.frames import ANSWER_SYNC
from deeplock.fpga.host.client import LinkClient
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import ID
from deeplock.sim.flash_model import Flash, run_flash
from deeplock.sim.uart_model import UartModel
from tests.fpga.loop import BAUD, HALF_PERIOD_NS

SEED = os.environ["DEEPLOCK_SEED"]
CONTENT = random.Random(SEED).randbytes(4096)


async def connected(dut, flash: Flash | None = None, attempts: int = 4) -> tuple[LinkClient, UartModel]:
    dut.rst.value = 1
    dut.i.value = 0xF
    uart = UartModel(dut.rx, dut.tx, int(BAUD))
    await Timer(1, unit="ns")
    Clock(dut.clk, 2 * HALF_PERIOD_NS, unit="ns", impl="gpi").start()
    await Timer(20 * HALF_PERIOD_NS, unit="ns")
    dut.rst.value = 0
    cocotb.start_soon(run_flash(flash or Flash(CONTENT), dut.cs_n, dut.sck, dut.o, dut.oe, dut.i))
    client = LinkClient(uart, timeout=1e-3, attempts=attempts)
    await Timer(400, unit="us")  # the flash is woken meanwhile
    assert (await client.connect("loop")).clock_hz == 200_000
    return client, uart


@cocotb.test()
async def registers_and_flash_are_read_through_the_pins(dut):
    flash = Flash(CONTENT)
    client, uart = await connected(dut, flash)
    assert await client.read("ID") == ID
    await client.write("COUNT", 1234)
    assert await client.read("COUNT") == 1234
    for start, length in ((0x123, 256), (4064, 64)):
        await client.stream_loadable(start, length)
        expected = (CONTENT + b"\xff" * 32)[start : start + length]
        for _ in range(2):
            got = None
            while got is None:
                got = await client.receive_ofmap()
            assert got == expected
        assert flash.reads[-1] == start
    assert uart.framing_errors == 0 and uart.sent > 0 and uart.received > 0


@cocotb.test()
async def damaged_bytes_are_sent_again_and_nothing_is_done_twice(dut):
    client, uart = await connected(dut, attempts=20)
    rng = random.Random(SEED)
    uart.damage_sent = {uart.sent + at for at in rng.sample(range(80), 3)}
    uart.damage_received = {uart.received + at for at in rng.sample(range(80), 3)}
    for _ in range(5):
        value = rng.randrange(1, 1 << 16)
        await client.write("COUNT", value)
        assert await client.read("COUNT") == value
    await client.stream_loadable(0, 64)
    got = b""
    while len(got) < 64:
        got += await client.receive_ofmap() or b""
    assert got == CONTENT[:64]
    assert uart.sent > max(uart.damage_sent) and uart.received > max(uart.damage_received)


@cocotb.test()
async def a_line_that_damages_everything_is_an_error(dut):
    client, uart = await connected(dut, attempts=2)
    uart.damage_sent = set(range(uart.sent, uart.sent + 1000))
    try:
        await client.write("COUNT", 1)
    except DeeplockError as error:
        assert str(error) == "uart: the board does not answer any more"
    else:
        raise AssertionError("no DeeplockError")
    uart.damage_sent.clear()
    await client.connect()


@cocotb.test()
async def a_dead_flash_is_an_error(dut):
    client, _ = await connected(dut, Flash(CONTENT, dead=True))
    try:
        await client.stream_loadable(0, 64)
    except DeeplockError as error:
        assert str(error) == "uart: the board's flash does not answer"
    else:
        raise AssertionError("no DeeplockError")


@cocotb.test()
async def answers_have_the_baud_rate(dut):
    """By the edges of the line, not by the model: a sync byte's bits are as long as they should be."""
    client, _ = await connected(dut)
    cocotb.start_soon(client.read("ID"))
    await FallingEdge(dut.tx)
    bit = 16 * HALF_PERIOD_NS
    levels = []
    await Timer(bit // 2, unit="ns")
    for _ in range(10):
        levels.append(int(dut.tx.value))
        await Timer(bit, unit="ns")
    assert levels == [0, *(ANSWER_SYNC >> i & 1 for i in range(8)), 1]
