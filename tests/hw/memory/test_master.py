"""The memory master between a memory with pauses and faults and an accelerator's streams, in the Amaranth simulator."""

from functools import partial
from random import Random

import pytest

from deeplock.hw.memory.master import MemoryMaster
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import Command, Error, MemoryOptions, Status
from tests.hw.memory_tools import Fault, Memory, MemoryBus
from tests.hw.stream_tools import check_stable, simulate

SHAPES = {  # what the widths of beat, ifmap and ofmap may be to each other
    "4 4 1": Config(rows=4, cols=4, bytes_per_beat=4, lanes=1),
    "8 4 4": Config(rows=4, cols=8, bytes_per_beat=8, lanes=4),
    "4 16 8": Config(rows=16, cols=16, bytes_per_beat=4, lanes=8),
    "16 4 2": Config(rows=4, cols=16, bytes_per_beat=16, lanes=2),
}
CONFIG = SHAPES["4 4 1"]
SMALL = MemoryOptions(burst=4, outstanding=2)
SIZE = 1 << 14
IDLE = Status.IDLE


class Bench:
    """A memory master with a memory of random bytes."""

    def __init__(self, seed: int, config: Config = CONFIG, options: MemoryOptions = SMALL, latency=1, pauses=0.0):
        self.dice, self.config, self.options, self.pauses = Random(seed), config, options, pauses
        self.dut = MemoryMaster(config, options)
        content = self.dice.randbytes(SIZE)
        self.memory = Memory(self.dut.port, content, options.outstanding, latency, pauses, Random(seed + 1))
        self.checks = True

    def run(self, *testbenches, design=None, cycles=15_000):
        async def stable(ctx, stream):
            if self.checks:
                await check_stable(ctx, stream)

        streams = (self.dut.loadable, self.dut.ifmap)
        background = [self.memory.serve_reads, self.memory.serve_writes]
        background += [partial(stable, stream=stream) for stream in streams]
        simulate(design or self.dut, *testbenches, background=background, cycles=cycles)

    async def packet(self, ctx, stream, pauses: float | None = None) -> tuple[bytes, list[int]]:
        """What comes up to `last`, and the cycles in which beats came."""
        got, cycles = b"", []
        while True:
            while self.dice.random() < (self.pauses if pauses is None else pauses):
                await ctx.tick()
            ctx.set(stream.ready, 1)
            *_, beat = await ctx.tick().sample(stream.payload).until(stream.valid)
            ctx.set(stream.ready, 0)
            got += beat.data.to_bytes(len(stream.payload.data) // 8, "little")
            cycles.append(self.memory.cycle)
            if beat.last:
                return got, cycles

    async def send_ofmap(self, ctx, data: bytes, ends: bool = True) -> None:
        """A packet of which some beats are not full, or with `ends` False its begin."""
        stream, lanes, at = self.dut.ofmap, self.config.lanes, 0
        while at < len(data):
            while self.dice.random() < self.pauses:
                await ctx.tick()
            count = min(self.dice.choice([lanes, lanes, self.dice.randint(1, lanes)]), len(data) - at)
            value = int.from_bytes(data[at : at + count], "little")
            at += count
            ctx.set(stream.payload, {"data": value, "keep": (1 << count) - 1, "last": ends and at == len(data)})
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    def range(self, start: int, size: int) -> bytes:
        return bytes(self.memory.data[start : start + size])


def aligned(value: int, to: int) -> int:
    return -(-value // to) * to


@pytest.mark.parametrize("name, pauses, latency", [*((name, 0.4, 3) for name in SHAPES), ("8 4 4", 0.0, 9)])
def test_transfers_of_all_streams_at_once_are_whole_and_keep_to_the_rules(name, pauses, latency, seed):
    config, options = SHAPES[name], MemoryOptions(burst=8, outstanding=4)
    bench = Bench(seed, config, options, latency, pauses)
    dice, size, dut = Random(seed), config.bytes_per_beat, bench.dut
    ranges = []  # of the loadable, with numbers of packets: some across a page
    for _ in range(3):
        length = size * dice.randint(1, 60)
        ranges.append((aligned(4096 - dice.randint(0, length), size), length, dice.randint(1, 3)))
    ifmap, ifmaps = config.rows * dice.randint(1, 30), 3
    ofmap, ofmaps = dice.randint(1, 100), 3
    before = bench.range(0, SIZE)
    sent = [dice.randbytes(ofmap) for _ in range(ofmaps)]

    async def control(ctx):
        bus = MemoryBus(dut, ctx)
        await bus.begin(Command.OFMAP, 3 * 4096, ofmap, ofmaps)
        await bus.begin(Command.IFMAP, 2 * 4096, ifmap, ifmaps)
        for start, length, packets in ranges:
            await bus.begin(Command.LOADABLE, start, length, packets)
        assert await bus.until(IDLE, IDLE) == IDLE

    async def loadables(ctx):
        for start, length, packets in ranges:
            for _ in range(packets):
                assert (await bench.packet(ctx, dut.loadable))[0] == before[start : start + length]

    async def take_ifmaps(ctx):
        for number in range(ifmaps):
            start = 2 * 4096 + number * aligned(ifmap, size)
            assert (await bench.packet(ctx, dut.ifmap))[0] == before[start : start + ifmap]

    async def give_ofmaps(ctx):
        for data in sent:
            await bench.send_ofmap(ctx, data)

    bench.run(control, loadables, take_ifmaps, give_ofmaps)
    for number, data in enumerate(sent):
        start = 3 * 4096 + number * aligned(ofmap, size)
        assert bench.range(start, ofmap) == data
        assert not bench.memory.written & {*range(start + ofmap, start + aligned(ofmap, size))}, "behind an ofmap's end"
    assert len(bench.memory.written) == ofmap * ofmaps


@pytest.mark.parametrize("outstanding", [8, 1])
def test_a_beat_a_cycle_if_the_outstanding_bursts_cover_the_latency(outstanding, seed):
    latency, beats, packets = 40, 96, 3
    bench = Bench(seed, CONFIG, MemoryOptions(16, outstanding), latency)
    times = []

    async def control(ctx):
        await MemoryBus(bench.dut, ctx).begin(Command.LOADABLE, 0, 4 * beats, packets)
        begun = bench.memory.cycle
        await ctx.tick().repeat(8)
        times.append(bench.memory.first_read - begun)

    async def loadables(ctx):
        for _ in range(packets):
            assert (await bench.packet(ctx, bench.dut.loadable, 0))[0] == bench.range(0, 4 * beats)
        times.append(bench.memory.cycle)

    bench.run(control, loadables)
    to_address, end = times
    assert to_address == 2
    taken = end - bench.memory.first_read
    assert taken == (latency + packets * beats + 2 if outstanding == 8 else 18 * (latency + 16 + 4) - 2)


def test_an_ofmap_takes_a_cycle_a_byte_and_a_beat_follows_its_last_byte(seed):
    config, options = Config(rows=4, cols=4, bytes_per_beat=4, lanes=4), SMALL
    bench, size, times = Bench(seed, config, options), 48, []
    data = bench.dice.randbytes(size)

    async def control(ctx):
        await MemoryBus(bench.dut, ctx).begin(Command.OFMAP, 0, size)
        await ctx.tick().until(bench.dut.ofmap.valid)
        begun = bench.memory.cycle
        await ctx.tick().until(bench.dut.port.awvalid)
        times.append(bench.memory.cycle - begun)

    async def ofmaps(ctx):
        await ctx.tick().repeat(20)
        begun = bench.memory.cycle
        stream = bench.dut.ofmap
        for at in range(0, size, 4):
            ctx.set(
                stream.payload,
                {"data": int.from_bytes(data[at : at + 4], "little"), "keep": 15, "last": at == size - 4},
            )
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)
        times.append(bench.memory.cycle - begun)
        await ctx.tick().repeat(20)

    bench.run(control, ofmaps)
    assert times == [3 + 1, size + 11]
    assert bench.range(0, size) == data


async def again(bench: Bench, ctx, bus: MemoryBus) -> None:
    """After STOP everything works."""
    await bus.set("CONTROL", Command.STOP)
    assert await bus.until(IDLE, IDLE) == IDLE
    await ctx.tick().repeat(8)  # what the memory sends too much
    await bus.begin(Command.LOADABLE, 64, 40, 2)
    for _ in range(2):
        assert (await bench.packet(ctx, bench.dut.loadable))[0] == bench.range(64, 40)
    await bus.begin(Command.OFMAP, 8192, 13)
    data = bench.dice.randbytes(13)
    await bench.send_ofmap(ctx, data)
    assert await bus.until(IDLE, IDLE) == IDLE and bench.range(8192, 13) == data


@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_a_wrong_read_ends_its_packet_wrongly_and_leaves_an_error(pauses, seed):
    """In bursts of 4 beats of packets of 10 beats. An answer that is wrong anywhere, also at a packet's end."""
    bench = Bench(seed, latency=3, pauses=pauses)
    codes = {Fault.SLVERR: Error.READ_SLVERR, Fault.DECERR: Error.READ_DECERR}

    async def testbench(ctx):
        bus = MemoryBus(bench.dut, ctx)
        for fault, wrong in (
            *((Fault.SLVERR, beat) for beat in (0, 5, 9)),
            (Fault.DECERR, 4),
            *((Fault.EARLY, beat) for beat in (0, 8)),
            (Fault.SPURIOUS, 6),
            *((Fault.MISSING, beat) for beat in (3, 9)),
        ):
            bench.memory.faults = {bench.memory.beats + 10 + wrong: fault}
            await bus.begin(Command.LOADABLE, 0, 40, 3)
            assert (await bench.packet(ctx, bench.dut.loadable))[0] == bench.range(0, 40)
            packet, _ = await bench.packet(ctx, bench.dut.loadable)
            assert len(packet) == 4 * (wrong + 1 + (wrong == 9)), (fault, wrong)
            assert packet[: 4 * wrong] == bench.range(0, 4 * wrong)
            status = await bus.until(IDLE, IDLE)
            assert status >> 8 == codes.get(fault, Error.READ_LENGTH), fault
            await bus.refuses("CONTROL", Command.LOADABLE)
            await again(bench, ctx, bus)

    bench.run(testbench)


def test_after_a_burst_of_the_wrong_length_no_channel_trusts_what_comes(seed):
    bench = Bench(seed, CONFIG, MemoryOptions(burst=4, outstanding=4), latency=30)

    async def testbench(ctx):
        bus = MemoryBus(bench.dut, ctx)
        bench.memory.faults = {2: Fault.EARLY}
        await bus.begin(Command.LOADABLE, 0, 64)
        await bus.begin(Command.IFMAP, 0, 64)
        for stream in (bench.dut.loadable, bench.dut.ifmap):
            assert len((await bench.packet(ctx, stream))[0]) < 64
        assert await bus.until(IDLE, IDLE) >> 8 == Error.READ_LENGTH
        await again(bench, ctx, bus)

    bench.run(testbench)


@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_a_wrong_write_or_ofmap_leaves_an_error_and_takes_what_comes(pauses, seed):
    bench = Bench(seed, pauses=pauses)

    async def testbench(ctx):
        bus = MemoryBus(bench.dut, ctx)
        for code, size, response in (
            (Error.WRITE_SLVERR, 40, 2),
            (Error.WRITE_DECERR, 40, 3),
            (Error.OFMAP_LENGTH, 39, 0),
            (Error.OFMAP_LENGTH, 41, 0),
            (Error.OFMAP_LENGTH, 1, 0),
        ):
            bench.memory.refuses = {len(bench.memory.writes): response}
            await bus.begin(Command.OFMAP, 4096, 40, 2)
            bench.memory.written.clear()
            for _ in range(3):  # one more than there is room for
                await bench.send_ofmap(ctx, bench.dice.randbytes(size))
            await bus.until(0xFF00, code << 8)
            assert bench.memory.written <= {*range(4096, 4096 + 80)}
            bench.memory.refuses = {}
            await again(bench, ctx, bus)

    bench.run(testbench)


@pytest.mark.parametrize("pauses, latency", [(0.0, 1), (0.3, 20)])
def test_stop_at_any_time_cuts_the_packet_and_completes_bursts(pauses, latency, seed):
    bench = Bench(seed, latency=latency, pauses=pauses)
    bench.checks = False  # STOP takes back what is offered

    async def testbench(ctx):
        bus = MemoryBus(bench.dut, ctx)
        for _ in range(6):
            await bus.begin(Command.LOADABLE, 0, 40, 9)
            await bus.begin(Command.OFMAP, 4096, 100, 3)
            await bus.begin(Command.LOADABLE, 0, 40, 9)  # this one waits
            for _ in range(bench.dice.randrange(3)):
                assert (await bench.packet(ctx, bench.dut.loadable))[0] == bench.range(0, 40)
            left = bench.dice.randrange(10)
            ctx.set(bench.dut.loadable.ready, 1)
            for _ in range(left):
                await ctx.tick().until(bench.dut.loadable.valid)
            ctx.set(bench.dut.loadable.ready, 0)
            await bench.send_ofmap(ctx, bytes(bench.dice.randrange(60)), ends=False)
            await bus.set("CONTROL", Command.STOP)
            if left:
                packet, _ = await bench.packet(ctx, bench.dut.loadable)
                assert left + len(packet) // 4 != 10, "it is too short or too long"
            await again(bench, ctx, bus)

    bench.run(testbench)
