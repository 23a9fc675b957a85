"""The register file against the register map, over AXI4-Lite, in the Amaranth simulator."""

import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from hw.axi import Response
from hw.registers import ADDRESS_BITS, RegisterFile
from pymodel.config import Config
from pymodel.registers import COUNTERS, REGISTERS, Access, Command, Status, address, markdown_table
from tests.hw.yosys import YOSYS

KEY = bytes(range(0xA1, 0xC1))
CONFIG = Config(rows=4, cols=16, bytes_per_beat=8, lanes=2, activation_words=4096, accumulators=256,
                program_words=128, ifmap_bytes=1024)  # fmt: skip
PLAIN = Config(suite="plain", sum_bits=24, lean=True)
FIXED = {bits: replace(CONFIG, key_bits=bits) for bits in (128, 192, 256)}
CONFIGS = [CONFIG, PLAIN, *FIXED.values()]
KEY_REGISTERS = ["KEY_SIZE", *(f"KEY{i}" for i in range(8))]


def left_out(config: Config) -> list[str]:
    """Key registers that `config` does not have."""
    return KEY_REGISTERS if config is PLAIN else KEY_REGISTERS[1 + (config.key_bits or 256) // 32 :]


class Bus:
    """AXI4-Lite master of one transaction at a time. `cycles` is what the last one took, first cycle to answer."""

    def __init__(self, dut: RegisterFile, ctx):
        self.dut, self.ctx, self.cycles = dut, ctx, 0
        self.pulses: list[int] = []
        self.bad_key_sizes = 0

    def __getattr__(self, name):
        return getattr(self.dut, f"s_axil_{name}")

    async def tick(self, *signals):
        sampled = await self.ctx.tick().sample(*signals, self.dut.command, self.dut.bad_key_size)
        *_, command, bad = sampled
        self.pulses += [command] if command else []
        self.bad_key_sizes += bad
        return sampled[2:-2]

    async def write(self, where, value, strobe=0xF, aw_delay=0, w_delay=0, b_delay=0) -> Response:
        set, cycle, aw_done, w_done, seen = self.ctx.set, 0, False, False, 0
        while True:
            set(self.awvalid, not aw_done and cycle >= aw_delay)
            set(self.awaddr, where if not aw_done and cycle >= aw_delay else 0x5A4)
            set(self.wvalid, not w_done and cycle >= w_delay)
            set(self.wdata, value if not w_done and cycle >= w_delay else 0xDEAD_BEEF)
            set(self.wstrb, strobe)
            set(self.bready, seen >= b_delay)
            awready, wready, bvalid, bresp = await self.tick(self.awready, self.wready, self.bvalid, self.bresp)
            assert not bvalid or (aw_done and w_done)
            aw_done |= bool(awready and cycle >= aw_delay)
            w_done |= bool(wready and cycle >= w_delay)
            cycle += 1
            if bvalid and seen >= b_delay:
                set(self.bready, 0)
                self.cycles = cycle
                return Response(bresp)
            assert bvalid or not seen, "BVALID fell before BREADY"
            seen += bvalid
            assert cycle < 100

    async def read(self, where, delay=0) -> tuple[int, Response]:
        set, cycle, done, seen, first = self.ctx.set, 0, False, 0, None
        while True:
            set(self.arvalid, not done)
            set(self.araddr, 0x5A4 if done else where)
            set(self.rready, seen >= delay)
            arready, rvalid, rdata, rresp = await self.tick(self.arready, self.rvalid, self.rdata, self.rresp)
            done |= bool(arready)
            cycle += 1
            if rvalid:
                first = first or (rdata, rresp)
                assert (rdata, rresp) == first
            if rvalid and seen >= delay:
                set(self.rready, 0)
                self.cycles = cycle
                return rdata, Response(rresp)
            seen += rvalid
            assert cycle < 100

    async def load_key(self, key: bytes) -> None:
        for index in range(len(key) // 4):
            word = int.from_bytes(key[4 * index : 4 * index + 4], "little")
            assert await self.write(address(f"KEY{index}"), word) == Response.OKAY
        assert await self.write(address("KEY_SIZE"), len(key)) == Response.OKAY

    def key(self) -> tuple[int, bytes, int]:
        get, dut = self.ctx.get, self.dut
        return get(dut.keyed), get(dut.key).to_bytes(32, "little"), get(dut.key_bytes)


NO_KEY = (0, bytes(32), 0)


def run(testbench, config=CONFIG, reset=None):
    """Run `await testbench(bus)` on a register file."""
    dut = RegisterFile(config)
    simulator = Simulator(ResetInserter(reset)(dut) if reset is not None else dut)
    simulator.add_clock(1e-6)

    async def process(ctx):
        await testbench(Bus(dut, ctx))

    simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_readable_register_reads_its_value_and_all_else_reads_zero(config):
    expected = {"ID": int.from_bytes(b"DLK1", "little"), "LANES": config.lanes, "ACCUMULATORS": config.accumulators,
                "ACTIVATION_WORDS": config.activation_words, "PROGRAM_WORDS": config.program_words,
                "IFMAP_BYTES": config.ifmap_bytes, "SUM_BITS": config.sum_bits, "LEAN": int(config.lean), "STATUS": 0x0B06,
                "CONFIG": 0, "COUNT": 1, "PROFILE": 0,
                "GEOMETRY": 0x00_08_08_08 if config is PLAIN else 0x01_08_10_04}  # fmt: skip
    expected |= {name: 300 - 29 * index for index, (name, _) in enumerate(COUNTERS)}

    async def testbench(bus):
        bus.ctx.set(bus.dut.status, expected["STATUS"])
        for cycle in range(max(expected[name] for name, _ in COUNTERS)):
            bus.ctx.set(bus.dut.events, sum((cycle < expected[name]) << i for i, (name, _) in enumerate(COUNTERS)))
            await bus.tick()
        bus.ctx.set(bus.dut.events, 0)
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
            assert await bus.write(where, 1) == expected, hex(where)

    run(testbench, config)


@pytest.mark.parametrize("aw_delay, w_delay", [(0, 0), (0, 3), (3, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("b_delay", [0, 1, 4])
def test_a_write_takes_its_channels_in_any_order_and_waits_for_bready(aw_delay, w_delay, b_delay):
    async def testbench(bus):
        for value in (7, 65535, 1):
            assert await bus.write(address("COUNT"), value, 0xF, aw_delay, w_delay, b_delay) == Response.OKAY
            assert bus.ctx.get(bus.dut.count) == value
            # the cycle of the later one, 2 more, and the wait
            assert bus.cycles == max(aw_delay, w_delay) + 3 + b_delay

    run(testbench)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_read_waits_for_rready_and_keeps_its_data(delay):
    async def testbench(bus):
        for name, value in (("ID", 0x314B_4C44), ("LANES", 2)):
            assert await bus.read(address(name), delay) == (value, Response.OKAY)
            assert bus.cycles == 3 + delay

    run(testbench)


def test_a_read_of_a_counter_takes_a_cycle_more_while_it_is_brought_up_to_date():
    async def testbench(bus):
        cycles = []
        for index in range(200):
            await bus.read(address(COUNTERS[index % len(COUNTERS)][0]))
            cycles.append(bus.cycles)
        assert set(cycles) == {3, 4} and cycles.count(4) < 40

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


def test_a_master_that_is_always_ready_gets_a_read_and_a_write_every_3_cycles():
    async def testbench(bus):
        set = bus.ctx.set
        for signal, value in ((bus.awvalid, 1), (bus.wvalid, 1), (bus.bready, 1), (bus.arvalid, 1), (bus.rready, 1),
                              (bus.awaddr, address("COUNT")), (bus.wdata, 5), (bus.wstrb, 15)):  # fmt: skip
            set(signal, value)
        answers = [await bus.tick(bus.bvalid, bus.rvalid) for _ in range(62)][2:]
        assert [sum(column) for column in zip(*answers, strict=True)] == [20, 20]

    run(testbench)


@pytest.mark.parametrize("strobe", range(15))
def test_a_write_of_less_than_a_word_is_refused(strobe):
    async def testbench(bus):
        await bus.write(address("KEY1"), 0x4433_2211)
        key = bus.key()
        for register in REGISTERS:
            for value in (16, 0xFFFF_FFFF):
                assert await bus.write(register.address, value, strobe) == Response.SLVERR
        await bus.tick()
        assert bus.key() == key and not bus.pulses and not bus.bad_key_sizes
        assert [bus.ctx.get(getattr(bus.dut, name)) for name in ("count", "zeroise_at_end", "profile")] == [1, 0, 0]

    run(testbench)


def test_count_and_config_keep_what_is_written_and_count_refuses_what_is_out_of_range_or_late():
    async def testbench(bus):
        for value, expected in ((65535, 65535), (0, 65535), (65536, 65535), (65537, 65535), (2, 2)):
            assert (await bus.write(address("COUNT"), value) == Response.OKAY) == (value == expected)
            assert await bus.read(address("COUNT")) == (expected, Response.OKAY)
            assert bus.ctx.get(bus.dut.count) == expected
        bus.ctx.set(bus.dut.status, Status.BUSY)
        assert await bus.write(address("COUNT"), 3) == Response.SLVERR
        assert bus.ctx.get(bus.dut.count) == 2
        for value in (1, 0xFFFF_FFFE, 0xFFFF_FFFF):
            assert await bus.write(address("CONFIG"), value) == Response.OKAY
            assert await bus.read(address("CONFIG")) == (value & 1, Response.OKAY)
            assert bus.ctx.get(bus.dut.zeroise_at_end) == value & 1

    run(testbench)


def test_profile_keeps_its_low_byte():
    async def testbench(bus):
        for value in (1, 255, 0xFFFF_FF07, 0):
            assert await bus.write(address("PROFILE"), value) == Response.OKAY
            assert await bus.read(address("PROFILE")) == (value & 0xFF, Response.OKAY)
            assert bus.ctx.get(bus.dut.profile) == value & 0xFF

    run(testbench)


def test_commands_are_pulses_of_one_cycle():
    async def testbench(bus):
        for value in (*Command, Command.LOAD | Command.START, 0xFFFF_FFF0, 15):
            assert await bus.write(address("CONTROL"), value, b_delay=3) == Response.OKAY
        assert bus.pulses == [1, 2, 4, 8, 3, 15]

    run(testbench)


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


@pytest.mark.parametrize("bits", FIXED)
def test_an_accelerator_for_one_key_size_takes_no_other(bits):
    async def testbench(bus):
        for size in (16, 24, 32):
            if 8 * size > bits:
                assert await bus.write(address(f"KEY{size // 4 - 1}"), 5) == Response.SLVERR
            if 8 * size != bits:
                await bus.write(address("KEY0"), 5)
                assert await bus.write(address("KEY_SIZE"), size) == Response.OKAY
                await bus.tick()
                assert bus.bad_key_sizes == 1 and bus.key() == NO_KEY
                bus.bad_key_sizes = 0
        await bus.load_key(KEY[: bits // 8])
        assert bus.key() == (1, KEY[: bits // 8].ljust(32, b"\0"), bits // 8)

    run(testbench, FIXED[bits])


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
def test_zeroise_clears_key_and_size_in_one_cycle(way):
    async def testbench(bus):
        await bus.load_key(KEY)
        if way == "command":
            await bus.write(address("CONTROL"), Command.ZEROISE)
        else:
            bus.ctx.set(bus.dut.zeroise, 1)
            await bus.tick()
            bus.ctx.set(bus.dut.zeroise, 0)
        assert bus.key() == NO_KEY
        await bus.load_key(KEY[:16])
        assert bus.key() == (1, KEY[:16].ljust(32, b"\0"), 16)

    run(testbench)


def test_a_write_of_the_key_while_the_core_zeroises_leaves_nothing():
    async def testbench(bus):
        bus.ctx.set(bus.dut.zeroise, 1)
        await bus.load_key(KEY)
        assert bus.key() == NO_KEY

    run(testbench)


@pytest.mark.parametrize("config, index", [(config, i) for config in (CONFIG, FIXED[128]) for i in (*range(4), 7)][:-1])
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
        bus.ctx.set(bus.dut.status, Status.BUSY | Status.KEYED)
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
        async for *_, command, keyed in ctx.tick().sample(dut.command, dut.keyed):
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
                assert bus.key() == NO_KEY and get(bus.dut.count) == 1
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
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            runs, counts = runs + 1, [0] * len(COUNTERS)
            causes = dice.sample(range(1, len(COUNTERS)), 3)
            for _ in range(dice.randrange(400)):
                events = 1 | 1 << dice.choice(causes) if dice.random() < 0.9 else 0
                ctx.set(dut.events, events)
                await ctx.tick()
                counts = [count + (events >> i & 1) for i, count in enumerate(counts)]
            ctx.set(dut.events, 0)
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


@pytest.mark.parametrize("config, most", [(CONFIG, 290), (FIXED[128], 270), (PLAIN, 250)])
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
    text = (Path(__file__).parents[2] / "docs" / "registers.md").read_text()
    assert markdown_table() in text, "docs/registers.md: put the output of pymodel.registers.markdown_table() in"
