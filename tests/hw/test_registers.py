"""The register file against the register map, over AXI4-Lite, in the Amaranth simulator."""

import random
from pathlib import Path

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from hw.axi import Response
from hw.registers import ADDRESS_BITS, RegisterFile
from pymodel.config import Config
from pymodel.registers import COUNTERS, REGISTERS, Access, Command, Status, address, markdown_table

KEY = bytes(range(0xA1, 0xC1))
CONFIG = Config(rows=4, cols=16, bytes_per_beat=8, lanes=2, activation_words=4096, accumulators=256,
                program_words=128, ifmap_bytes=1024)  # fmt: skip
PLAIN = Config(suite="plain")
KEY_REGISTERS = ["KEY_SIZE", *(f"KEY{i}" for i in range(8))]


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


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_every_readable_register_reads_its_value_and_all_else_reads_zero(config):
    expected = {"ID": int.from_bytes(b"DLK1", "little"), "LANES": config.lanes, "ACCUMULATORS": config.accumulators,
                "ACTIVATION_WORDS": config.activation_words, "PROGRAM_WORDS": config.program_words,
                "IFMAP_BYTES": config.ifmap_bytes, "STATUS": 0x0B06, "CONFIG": 0, "COUNT": 1, "PROFILE": 0,
                "GEOMETRY": 0x01_08_10_04 if config is CONFIG else 0x00_08_08_08}  # fmt: skip
    expected |= {name: 0x1000_0000 * index + 77 for index, (name, _) in enumerate(COUNTERS)}

    async def testbench(bus):
        bus.ctx.set(bus.dut.status, expected["STATUS"])
        for index, (name, _) in enumerate(COUNTERS):
            bus.ctx.set(bus.dut.counters[index], expected[name])
        mapped = {r.address: r for r in REGISTERS if config is CONFIG or r.name not in KEY_REGISTERS}
        for where in [*range(0, 0x200, 4), 0x400, 0x424, 0x800, 0xFFC]:
            value, response = await bus.read(where)
            assert response == (Response.OKAY if where in mapped else Response.SLVERR), hex(where)
            assert value == (expected.get(mapped[where].name, 0) if where in mapped else 0), hex(where)
        assert {r.name for r in mapped.values() if r.access != Access.WRITE} == expected.keys()

    run(testbench, config)


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_writes_without_a_register_or_to_a_read_only_one_are_refused(config):
    async def testbench(bus):
        writable = {r.address for r in REGISTERS if r.access != Access.READ}
        writable -= set() if config is CONFIG else {address(name) for name in KEY_REGISTERS}
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
            assert (
                bus.cycles == max(aw_delay, w_delay) + 3 + b_delay
            )  # the cycle of the later one, 2 more, and the wait

    run(testbench)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_read_waits_for_rready_and_keeps_its_data(delay):
    async def testbench(bus):
        for name, value in (("ID", 0x314B_4C44), ("LANES", 2)):
            assert await bus.read(address(name), delay) == (value, Response.OKAY)
            assert bus.cycles == 2 + delay

    run(testbench)


def test_a_master_that_is_always_ready_gets_a_read_and_a_write_every_2_cycles():
    async def testbench(bus):
        set = bus.ctx.set
        for signal, value in ((bus.awvalid, 1), (bus.wvalid, 1), (bus.bready, 1), (bus.arvalid, 1), (bus.rready, 1),
                              (bus.awaddr, address("COUNT")), (bus.wdata, 5), (bus.wstrb, 15)):  # fmt: skip
            set(signal, value)
        answers = [await bus.tick(bus.bvalid, bus.rvalid) for _ in range(42)][2:]
        assert [sum(column) for column in zip(*answers, strict=True)] == [20, 20]

    run(testbench)


def test_byte_strobes_write_their_bytes_only():
    async def testbench(bus):
        await bus.write(address("COUNT"), 0x1234)
        writes = (
            (0b0001, 0xFFFF_FF56, 0x1256),
            (0b0010, 0xFFFF_78FF, 0x7856),
            (0, 0x9999, 0x7856),
            (0b1100, 0xFFFF, 0x7856),
        )
        for strobe, value, expected in writes:
            assert await bus.write(address("COUNT"), value, strobe) == Response.OKAY
            assert bus.ctx.get(bus.dut.count) == expected
        await bus.write(address("CONFIG"), 1, 0b1110)
        assert bus.ctx.get(bus.dut.zeroise_at_end) == 0
        await bus.write(address("PROFILE"), 7, 0b1110)
        assert bus.ctx.get(bus.dut.profile) == 0
        await bus.write(address("CONTROL"), 0xF, 0b1110)
        await bus.write(address("KEY1"), 0x4433_2211, 0b0101)
        assert bus.key() == (0, b"\0\0\0\0\x11\0\x33".ljust(32, b"\0"), 0)
        await bus.write(address("KEY_SIZE"), 16, 0)
        assert bus.key()[0] == 0
        await bus.write(address("KEY_SIZE"), 0xFFFF_FF10, 0b0001)
        assert bus.key() == (1, b"\0\0\0\0\x11\0\x33".ljust(32, b"\0"), 16)
        assert bus.pulses == [] and bus.bad_key_sizes == 0

    run(testbench)


def test_count_and_config_keep_what_is_written_and_count_refuses_what_is_out_of_range():
    async def testbench(bus):
        for value, expected in ((65535, 65535), (0, 65535), (65536, 65535), (65537, 65535), (2, 2)):
            assert (await bus.write(address("COUNT"), value) == Response.OKAY) == (value == expected)
            assert await bus.read(address("COUNT")) == (expected, Response.OKAY)
            assert bus.ctx.get(bus.dut.count) == expected
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


@pytest.mark.parametrize("index", range(8))
def test_no_part_of_a_key_survives_the_overwriting_of_another_part(index):
    async def testbench(bus):
        await bus.load_key(KEY)
        assert await bus.write(address(f"KEY{index}"), 0x0102_0304, 0b0110) == Response.OKAY
        assert bus.key() == (0, (bytes(4 * index) + b"\0\3\2").ljust(32, b"\0"), 0)

    run(testbench)


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


def test_docs_are_up_to_date():
    text = (Path(__file__).parents[2] / "docs" / "registers.md").read_text()
    assert markdown_table() in text, "docs/registers.md: put the output of pymodel.registers.markdown_table() in"
