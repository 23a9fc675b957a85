"""The key in the register file: taken whole, never read, zeroised."""

import pytest
from amaranth.sim import Simulator

from deeplock.hw.basics.axi import Response
from deeplock.hw.control.registers import ADDRESS_BITS, RegisterFile
from deeplock.pymodel.spec.registers import REGISTERS, Access, Command, Status, address
from tests.hw.register_bus import CONFIG, FIXED, KEY, KEY_REGISTERS, NO_KEY, PLAIN, Bus, run


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_is_taken_by_its_size_lowest_byte_first_and_never_read_back(size):
    async def testbench(bus):
        await bus.load_key(KEY[:size])
        assert bus.key() == (1, KEY[:size].ljust(32, b"\0"), size)
        seen = []
        for where in range(0, 1 << ADDRESS_BITS, 4):
            register = next((r for r in REGISTERS if r.address == where), None)
            value, _ = await bus.read(where)
            if register is None or register.access == Access.WRITE:
                assert value == 0
            seen.append(value.to_bytes(4, "little"))
        assert not {KEY[i : i + 4] for i in range(29)} & set(seen)

    run(testbench)


@pytest.mark.parametrize("only", FIXED)
def test_an_accelerator_for_one_key_size_takes_no_other(only):
    async def testbench(bus):
        for size in (16, 24, 32):
            if size > only:
                assert await bus.write(address(f"KEY{size // 4 - 1}"), 5) == Response.SLVERR
            if size != only:
                await bus.write(address("KEY0"), 5)
                assert await bus.write(address("KEY_SIZE"), size) == Response.OKAY
                await bus.tick()
                assert bus.bad_key_sizes == 1 and bus.key() == NO_KEY
                bus.bad_key_sizes = 0
        await bus.load_key(KEY[:only])
        assert bus.key() == (1, KEY[:only].ljust(32, b"\0"), only)

    run(testbench, FIXED[only])


@pytest.mark.parametrize("size", [0, 1, 15, 17, 48, 16 | 32 << 8, 1 << 31 | 16])
@pytest.mark.parametrize("keyed", [False, True])
def test_a_wrong_key_size_clears_the_key_and_pulses(size, keyed):
    async def testbench(bus):
        await bus.write(address("KEY3"), 0x1234_5678)
        if keyed:
            await bus.load_key(KEY)
        assert await bus.write(address("KEY_SIZE"), size) == Response.OKAY
        await bus.tick()
        assert bus.bad_key_sizes == 1 and bus.key() == NO_KEY

    run(testbench)


@pytest.mark.parametrize("way", ["command", "core"])
def test_zeroise_clears_size_in_one_cycle_and_key_in_two(way):
    async def testbench(bus):
        await bus.load_key(KEY)
        if way == "command":
            await bus.write(address("CONTROL"), Command.ZEROISE)
        else:
            bus.ctx.set(bus.dut.control.zeroise, 1)
            await bus.tick()
            bus.ctx.set(bus.dut.control.zeroise, 0)
        assert not bus.ctx.get(bus.dut.control.keyed)
        await bus.tick()
        assert bus.key() == NO_KEY
        await bus.load_key(KEY[:16])
        assert bus.key() == (1, KEY[:16].ljust(32, b"\0"), 16)

    run(testbench)


def test_a_write_of_the_key_while_the_core_zeroises_leaves_nothing():
    async def testbench(bus):
        bus.ctx.set(bus.dut.control.zeroise, 1)
        await bus.load_key(KEY)
        assert bus.key() == NO_KEY

    run(testbench)


def test_a_word_taken_in_the_cycle_after_the_core_zeroised_stays():
    """Its write began in the cycle of `zeroise`; it answers OKAY."""

    async def testbench(bus):
        await bus.load_key(KEY)
        writes = ((bus.awaddr, address("KEY0")), (bus.wdata, 0x0403_0201), (bus.wstrb, 15), (bus.bready, 1))
        for signal, value in (*writes, (bus.awvalid, 1), (bus.wvalid, 1), (bus.dut.control.zeroise, 1)):
            bus.ctx.set(signal, value)
        await bus.tick()
        bus.ctx.set(bus.dut.control.zeroise, 0)
        await bus.tick()
        bus.ctx.set(bus.awvalid, 0)
        bus.ctx.set(bus.wvalid, 0)
        assert await bus.tick(bus.bvalid, bus.bresp) == (1, Response.OKAY)
        assert bus.key() == (0, b"\1\2\3\4".ljust(32, b"\0"), 0)

    run(testbench)


@pytest.mark.parametrize("config, index", [(config, i) for config in (CONFIG, FIXED[16]) for i in (*range(4), 7)][:-1])
def test_no_part_of_a_key_survives_the_overwriting_of_another_part(config, index):
    async def testbench(bus):
        await bus.load_key(KEY[: max(config.key_sizes)])
        assert await bus.write(address(f"KEY{index}"), 0x0102_0304) == Response.OKAY
        assert bus.key() == (0, (bytes(4 * index) + b"\4\3\2\1").ljust(32, b"\0"), 0)

    run(testbench, config)


def test_a_key_in_place_cannot_be_cut_short():
    async def testbench(bus):
        await bus.load_key(KEY)
        for size in (16, 24, 32):
            assert await bus.write(address("KEY_SIZE"), size) == Response.SLVERR
        assert bus.key() == (1, KEY, 32)

    run(testbench)


def test_the_key_registers_refuse_writes_while_busy_but_zeroise_works():
    async def testbench(bus):
        await bus.load_key(KEY)
        bus.ctx.set(bus.dut.control.status, Status.BUSY | Status.KEYED)
        for name in KEY_REGISTERS:
            assert await bus.write(address(name), 17) == Response.SLVERR
        assert bus.key() == (1, KEY, 32) and bus.bad_key_sizes == 0
        await bus.write(address("CONTROL"), Command.ZEROISE)
        assert bus.key() == NO_KEY

    run(testbench)


def test_a_start_together_with_zeroise_finds_no_key():
    dut = RegisterFile(CONFIG)

    async def testbench(ctx):
        bus = Bus(dut, ctx)
        await bus.load_key(KEY)
        await bus.write(address("CONTROL"), Command.ZEROISE | Command.START)

    async def observer(ctx):
        async for *_, command, keyed in ctx.tick().sample(dut.control.command, dut.control.keyed):
            assert not (command and keyed)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(observer, background=True)
    simulator.add_testbench(testbench)
    simulator.run()


def test_plain_has_no_key():
    async def testbench(bus):
        for name in KEY_REGISTERS:
            assert await bus.write(address(name), 16) == Response.SLVERR
        assert bus.key() == NO_KEY and bus.bad_key_sizes == 0

    run(testbench, PLAIN)
