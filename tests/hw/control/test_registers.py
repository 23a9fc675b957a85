"""The register file against the register map, over AXI4-Lite, in the Amaranth simulator."""

import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Signal
from amaranth.sim import Simulator

from deeplock.hw.basics.axi import Response
from deeplock.hw.control.registers import RegisterFile
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import (
    COUNTERS,
    REGISTERS,
    Access,
    Command,
    Status,
    address,
    key_writes,
    markdown_table,
)
from tests.hw.register_bus import CONFIG, CONFIGS, FIXED, KEY, NO_KEY, PLAIN, Bus, left_out, run
from tests.hw.yosys import YOSYS


@pytest.mark.parametrize("config", CONFIGS)
def test_every_readable_register_reads_its_value_and_all_else_reads_zero(config):
    expected = {"ID": int.from_bytes(b"DLK1", "little"), "LANES": config.lanes, "ACCUMULATORS": config.accumulators,
                "ACTIVATION_WORDS": config.activation_words, "PROGRAM_WORDS": config.program_words,
                "IFMAP_BYTES": config.ifmap_bytes, "SUM_BITS": config.sum_bits, "OFMAP_BYTES": config.ofmap_bytes,
                "STATUS": 0x0B06, "FEATURES": 0x80 if config is PLAIN else 0x9F, "CONFIG": 0, "COUNT": 1, "PROFILE": 0,
                "INTERRUPT": 0,
                "GEOMETRY": 0x00_08_08_08 if config is PLAIN else 0x01_08_10_04}  # fmt: skip
    expected |= {name: 300 - 29 * index for index, (name, _) in enumerate(COUNTERS)}

    async def testbench(bus):
        bus.ctx.set(bus.dut.control.status, expected["STATUS"])
        for cycle in range(max(expected[name] for name, _ in COUNTERS)):
            bus.ctx.set(
                bus.dut.counters.events, sum((cycle < expected[name]) << i for i, (name, _) in enumerate(COUNTERS))
            )
            await bus.tick()
        bus.ctx.set(bus.dut.counters.events, 0)
        mapped = {r.address: r for r in REGISTERS if r.name not in left_out(config)}
        for where in [*range(0, 0x200, 4), 0x400, 0x424, 0x800, 0xFFC]:
            value, response = await bus.read(where)
            assert response == (Response.OKAY if where in mapped else Response.SLVERR), hex(where)
            assert value == (expected.get(mapped[where].name, 0) if where in mapped else 0), hex(where)
        assert {r.name for r in mapped.values() if r.access != Access.WRITE} == expected.keys()

    run(testbench, config)


@pytest.mark.parametrize("config", CONFIGS)
def test_writes_without_a_register_or_to_a_read_only_one_are_refused(config):
    async def testbench(bus):
        writable = {r.address for r in REGISTERS if r.access != Access.READ and r.name not in left_out(config)}
        for where in [*range(0, 0x200, 4), 0x424, 0x830, 0xFFC]:
            expected = Response.OKAY if where in writable else Response.SLVERR
            # as KEY_SIZE, what lets the key's words follow
            assert await bus.write(where, max(config.key_sizes, default=1)) == expected, hex(where)

    run(testbench, config)


@pytest.mark.parametrize("aw_delay, w_delay", [(0, 0), (0, 3), (3, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("b_delay", [0, 1, 4])
def test_a_write_takes_its_channels_in_any_order_and_waits_for_bready(aw_delay, w_delay, b_delay):
    async def testbench(bus):
        for value in (7, 65535, 1):
            assert await bus.write(address("COUNT"), value, 0xF, aw_delay, w_delay, b_delay) == Response.OKAY
            assert bus.ctx.get(bus.dut.control.count) == value
            # the cycle of the later one, 2 more, and the wait
            assert bus.cycles == max(aw_delay, w_delay) + 3 + b_delay

    run(testbench)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_read_waits_for_rready_and_keeps_its_data(delay):
    async def testbench(bus):
        for name, value in (("ID", 0x314B_4C44), ("LANES", 2)):
            assert await bus.read(address(name), delay) == (value, Response.OKAY)
            assert bus.cycles == 4 + delay

    run(testbench)


def test_a_read_of_a_counter_takes_a_cycle_more_while_it_is_brought_up_to_date():
    async def testbench(bus):
        cycles = []
        for index in range(200):
            await bus.read(address(COUNTERS[index % len(COUNTERS)][0]))
            cycles.append(bus.cycles)
        assert set(cycles) == {4, 5} and cycles.count(5) < 40

    run(testbench)


def test_addresses_and_data_are_taken_when_they_are_known_to_be_there():
    """READY comes from a register and says that its channel is taken: not without VALID, not for a part of a write."""

    async def testbench(bus):
        for valid in (bus.awvalid, bus.wvalid):
            bus.ctx.set(valid, 1)
            for _ in range(5):
                answer = await bus.tick(bus.awready, bus.wready, bus.arready, bus.bvalid, bus.rvalid)
                assert answer == (0,) * 5
            bus.ctx.set(valid, 0)
            await bus.tick()

    run(testbench)


def test_a_master_that_is_always_ready_gets_a_write_every_3_cycles_and_a_read_every_4():
    async def testbench(bus):
        set = bus.ctx.set
        for signal, value in ((bus.awvalid, 1), (bus.wvalid, 1), (bus.bready, 1), (bus.arvalid, 1), (bus.rready, 1),
                              (bus.awaddr, address("COUNT")), (bus.wdata, 5), (bus.wstrb, 15)):  # fmt: skip
            set(signal, value)
        answers = [await bus.tick(bus.bvalid, bus.rvalid) for _ in range(63)][3:]
        assert [sum(column) for column in zip(*answers, strict=True)] == [20, 15]

    run(testbench)


@pytest.mark.parametrize("strobe", range(15))
def test_a_write_of_less_than_a_word_is_refused(strobe):
    async def testbench(bus):
        for name, value in key_writes(KEY)[:3]:
            assert await bus.write(address(name), value) == Response.OKAY
        key = bus.key()
        for register in REGISTERS:
            for value in (16, 0xFFFF_FFFF):
                assert await bus.write(register.address, value, strobe) == Response.SLVERR
        await bus.tick()
        assert bus.key() == key and not bus.pulses and not bus.bad_key_sizes
        control, counters = bus.dut.control, bus.dut.counters
        assert [bus.ctx.get(port) for port in (control.count, control.zeroise_at_end, counters.profile)] == [1, 0, 0]
        assert await bus.read(address("INTERRUPT")) == (0, Response.OKAY)

    run(testbench)


def test_count_and_config_keep_what_is_written_and_count_refuses_what_is_out_of_range_or_late():
    async def testbench(bus):
        for value, expected in ((65535, 65535), (0, 65535), (65536, 65535), (65537, 65535), (2, 2)):
            assert (await bus.write(address("COUNT"), value) == Response.OKAY) == (value == expected)
            assert await bus.read(address("COUNT")) == (expected, Response.OKAY)
            assert bus.ctx.get(bus.dut.control.count) == expected
        bus.ctx.set(bus.dut.control.status, Status.BUSY)
        assert await bus.write(address("COUNT"), 3) == Response.SLVERR
        assert bus.ctx.get(bus.dut.control.count) == 2
        for value in (1, 0xFFFF_FFFE, 0xFFFF_FFFF):
            assert await bus.write(address("CONFIG"), value) == Response.OKAY
            assert await bus.read(address("CONFIG")) == (value & 1, Response.OKAY)
            assert bus.ctx.get(bus.dut.control.zeroise_at_end) == value & 1

    run(testbench)


def test_without_counters_only_cycles_counts_and_profile_stays_0():
    """The registers are there all the same, so a driver need not ask."""

    async def testbench(bus):
        bus.ctx.set(bus.dut.counters.events, (1 << len(COUNTERS)) - 1)
        await bus.ctx.tick().repeat(50)
        bus.ctx.set(bus.dut.counters.events, 0)
        assert await bus.write(address("PROFILE"), 3) == Response.OKAY
        assert await bus.read(address("PROFILE")) == (0, Response.OKAY)
        assert [(await bus.read(address(name)))[0] for name, _ in COUNTERS] == [50] + [0] * (len(COUNTERS) - 1)
        assert (await bus.read(address("FEATURES")))[0] >> 7 == 0

    run(testbench, replace(CONFIG, counters=False))


@pytest.mark.parametrize("registers", [True, False])
def test_with_licences_a_key_leaves_word_by_word_and_keyed_is_as_ever(registers):
    """KEY_SIZE, ZEROISE and what comes out of order erase it, the register file's and the bitstream's."""
    config = Config(rows=4, cols=4, bytes_per_beat=4, suite="tinyjambu", licences=True, pipeline_registers=registers)

    async def testbench(bus):
        ctx, key, written, erased = bus.ctx, bus.dut.key, [], 0

        async def tick(*signals):
            nonlocal erased
            *shown, writes, index, data, erases = await Bus.tick(
                bus, *signals, key.write, key.index, key.data, key.erase
            )
            erased += erases
            written.extend([(index, data)] if writes else [])
            return shown

        async def keyed() -> int:
            await bus.tick()
            return ctx.get(bus.dut.control.keyed)

        bus.tick = tick
        words = [int.from_bytes(KEY[at : at + 4], "little") for at in range(0, 16, 4)]
        await bus.load_key(KEY[:16])
        assert await keyed() and written == list(enumerate(words)) and erased == 1
        for name, value in (("CONTROL", Command.ZEROISE), ("KEY_SIZE", 16), ("KEY_SIZE", 24), ("KEY0", 1), ("KEY3", 1)):
            for from_bitstream in (False, True):
                if from_bitstream:
                    ctx.set(key.provisioned, 1)
                    await bus.tick()
                    ctx.set(key.provisioned, 0)
                else:
                    await bus.load_key(KEY[:16])
                assert await keyed()
                before = erased
                await bus.write(address(name), value)
                assert not await keyed() and erased == before + 1

    run(testbench, config)


def test_profile_keeps_its_low_byte():
    async def testbench(bus):
        for value in (1, 255, 0xFFFF_FF07, 0):
            assert await bus.write(address("PROFILE"), value) == Response.OKAY
            assert await bus.read(address("PROFILE")) == (value & 0xFF, Response.OKAY)
            assert bus.ctx.get(bus.dut.counters.profile) == value & 0xFF

    run(testbench)


def test_commands_are_pulses_of_one_cycle():
    async def testbench(bus):
        for value in (*Command, Command.LOAD | Command.START, 0xFFFF_FFF0, 15):
            assert await bus.write(address("CONTROL"), value, b_delay=3) == Response.OKAY
        assert bus.pulses == [1, 2, 4, 8, 3, 15]

    run(testbench)


@pytest.mark.parametrize("when", range(6))
def test_reset_in_the_middle_of_a_transaction_leaves_a_clean_bus(when):
    reset = Signal()

    async def testbench(bus):
        set, get = bus.ctx.set, bus.ctx.get
        await bus.load_key(KEY)
        await bus.write(address("COUNT"), 9)
        set(bus.awvalid, 1)  # an address without data, and a read that nobody takes
        set(bus.awaddr, address("CONTROL"))
        set(bus.arvalid, 1)
        for cycle in range(6):
            set(reset, cycle == when)
            set(bus.wvalid, cycle >= 4)
            await bus.tick()
            if cycle == when:
                assert not get(bus.bvalid) and not get(bus.rvalid)
                assert bus.key() == NO_KEY and get(bus.dut.control.count) == 1
                break
        for signal in (bus.awvalid, bus.wvalid, bus.arvalid, reset):
            set(signal, 0)
        await bus.tick()
        assert await bus.write(address("COUNT"), 3) == Response.OKAY
        assert await bus.read(address("COUNT")) == (3, Response.OKAY)

    run(testbench, reset=reset)


def test_random_reads_and_writes_at_the_same_time():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    writes = [(rng.randrange(1, 1 << 16), *(rng.randrange(4) for _ in range(3))) for _ in range(60)]
    dut, done = RegisterFile(CONFIG), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def writer(ctx):
        bus = Bus(dut, ctx)
        for value, *delays in writes:
            assert await bus.write(address("COUNT"), value, 0xF, *delays) == Response.OKAY
            done.append(value)

    async def reader(ctx):
        bus = Bus(dut, ctx)
        while len(done) < len(writes):
            before = len(done)
            value, response = await bus.read(address("COUNT"), rng.randrange(4))
            assert response == Response.OKAY
            possible = ([1] + [write[0] for write in writes])[before : len(done) + 2]
            assert value in possible

    simulator.add_testbench(writer)
    simulator.add_testbench(reader)
    simulator.run()


def test_a_counter_reads_as_it_was_between_address_and_data(dice):
    """So a read after the last event is exact, however soon it comes."""
    dut = RegisterFile(CONFIG)
    runs, counts = 0, [0] * len(COUNTERS)

    async def core(ctx):
        """Runs of some hundred cycles, each begun by `restart`, one cause in each cycle; pauses between them."""
        nonlocal runs, counts
        for _ in range(8):
            ctx.set(dut.counters.restart, 1)
            await ctx.tick()
            ctx.set(dut.counters.restart, 0)
            runs, counts = runs + 1, [0] * len(COUNTERS)
            causes = dice.sample(range(1, len(COUNTERS)), 3)
            for _ in range(dice.randrange(400)):
                events = 1 | 1 << dice.choice(causes) if dice.random() < 0.9 else 0
                ctx.set(dut.counters.events, events)
                await ctx.tick()
                counts = [count + (events >> i & 1) for i, count in enumerate(counts)]
            ctx.set(dut.counters.events, 0)
            await ctx.tick().repeat(dice.randrange(1, 60))

    async def host(ctx):
        bus = Bus(dut, ctx)
        while True:
            index, run, before = dice.randrange(len(COUNTERS)), runs, counts
            value, response = await bus.read(address(COUNTERS[index][0]), dice.choice((0, 0, 3)))
            assert response == Response.OKAY
            if runs == run:
                assert before[index] <= value <= counts[index]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(core)
    simulator.add_testbench(host, background=True)
    simulator.run()


@pytest.mark.parametrize(
    "config, most",
    [(CONFIG, 330), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((FIXED[16], 310), (PLAIN, 280)))],
)
def test_registers_and_counters_take_few_luts(config, most, tmp_path):
    """On iCE40 UP5K, with two block RAMs; a bit of the key takes a flip-flop and nothing else."""
    (tmp_path / "top.il").write_text(rtlil.convert(RegisterFile(config)))
    script = (
        "read_rtlil top.il; setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2; scratchpad -set abc9.D 30000; "
        "synth_ice40 -device u; tee -o stat.txt stat"
    )
    subprocess.run([YOSYS, "-q", "-p", script], cwd=tmp_path, check=True, timeout=120)
    found = re.findall(r"^\s+(\d+)\s+(SB_LUT4|SB_RAM40_4K)$", (tmp_path / "stat.txt").read_text(), re.MULTILINE)
    cells = {cell: int(count) for count, cell in found}
    print(cells)
    assert cells["SB_LUT4"] <= most and cells["SB_RAM40_4K"] == 2


def test_docs_are_up_to_date():
    text = (Path(__file__).parents[3] / "docs" / "registers.md").read_text()
    assert markdown_table() in text, (
        "docs/registers.md: put the output of deeplock.pymodel.spec.registers.markdown_table() in"
    )
