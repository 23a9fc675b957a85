"""cocotb tests of sim/riscv/accelerator.v around loopback.v; test_riscv_soc.py runs them. The memory is a bytearray."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, Timer

BEAT = 4
RANDOM = random.Random(int(os.environ["DEEPLOCK_TEST_SEED"]))
LOADABLE, IFMAP, OFMAP, CONTROL = 0, 2, 4, 6


def number(signal) -> int:
    """0 for what has no value before the first packet."""
    return int(signal.value) if signal.value.is_resolvable else 0


class Soc:
    """The core's part: accesses, the memory, and pauses on every stream with the given probability."""

    def __init__(self, dut, latency: int = 0, pauses: float = 0.0) -> None:
        self.dut, self.pauses, self.memory = dut, pauses, bytearray(RANDOM.randbytes(4096))
        dut.latency.value, dut.access.value, dut.reset.value = latency, 0, 1
        for name in ("dma", "we", "word", "mosi", "loadable_data", "ifmap_data"):
            getattr(dut, name).value = 0

    async def reset(self) -> "Soc":
        self.dut.reset.value = 1
        for _ in range(3):
            await FallingEdge(self.dut.clk)
        self.dut.reset.value = 0
        return self

    async def cycle(self) -> None:
        """Between two falling edges: what is written goes to the memory, what is read comes from it."""
        self.dut.core.pause.value = sum(1 << bit for bit in range(6) if RANDOM.random() < self.pauses)
        for name in ("loadable", "ifmap"):
            at = number(getattr(self.dut, f"{name}_at"))
            getattr(self.dut, f"{name}_data").value = int.from_bytes(self.memory[at : at + BEAT], "little")
        await ReadOnly()
        write, at = number(self.dut.ofmap_write), number(self.dut.ofmap_at)
        data = number(self.dut.ofmap_data).to_bytes(BEAT, "little")
        kept = bytes(byte for lane, byte in enumerate(data) if write >> lane & 1)
        self.memory[at : at + len(kept)] = kept
        await FallingEdge(self.dut.clk)

    async def access(self, dma: bool, word: int, value: int | None = None) -> int:
        dut = self.dut
        dut.access.value, dut.dma.value, dut.word.value = 1, dma, word
        dut.we.value, dut.mosi.value = value is not None, value or 0
        for _ in range(200):
            await Timer(1, unit="ps")
            answered, found = int(dut.ack.value), dut.miso.value
            await self.cycle()
            if answered:
                dut.access.value = 0
                return int(found) if value is None else 0
        raise AssertionError("no ack")

    async def begin(self, stream: int, at: int, size: int) -> None:
        await self.access(True, stream, at)
        await self.access(True, stream + 1, size)

    async def until_came(self) -> None:
        for _ in range(2000):
            if await self.access(True, CONTROL):
                return
            await self.cycle()
        raise AssertionError("no ofmap")


async def started(dut, **arguments) -> Soc:
    dut.clk.value, dut.core.keep.value = 0, 15
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    return await Soc(dut, **arguments).reset()


def folded(data: bytes) -> int:
    total = 0
    for at in range(0, len(data), BEAT):
        total = (total * 31 + int.from_bytes(data[at : at + BEAT], "little")) & 0xFFFF_FFFF
    return total


@cocotb.test()
@cocotb.parametrize(latency=[0, 5], pauses=[0.0, 0.5])
async def packets_move_in_order_two_at_a_time(dut, latency, pauses):
    soc = await started(dut, latency=latency, pauses=pauses)
    for _ in range(6):
        sizes = [BEAT * RANDOM.randint(1, 20) for _ in range(2)]
        places = [BEAT * RANDOM.randint(0, 300) for _ in range(2)]
        sent = [bytes(soc.memory[at : at + size]) for at, size in zip(places, sizes, strict=True)]
        keep = RANDOM.choice([15, 15, 7, 1])
        dut.core.keep.value = keep
        wanted = [bytes(byte for at, byte in enumerate(data) if keep >> at % BEAT & 1) for data in sent]
        for at, size in zip(places, sizes, strict=True):
            await soc.begin(LOADABLE, at, size)
        to = RANDOM.randint(2000, 2100)
        for data in wanted:
            await soc.begin(OFMAP, to, len(data))
            before, after = soc.memory[to - 8 : to], soc.memory[to + len(data) : to + len(data) + 8]
            await soc.until_came()
            assert soc.memory[to : to + len(data)] == data
            assert soc.memory[to - 8 : to] == before and soc.memory[to + len(data) :][:8] == after


@cocotb.test()
@cocotb.parametrize(pauses=[0.0, 0.7])
async def registers_are_written_and_read_while_streams_move(dut, pauses):
    soc = await started(dut, pauses=pauses, latency=2)
    await soc.begin(IFMAP, 64, 80)
    values = {RANDOM.randrange(1024): RANDOM.getrandbits(32) for _ in range(40)}
    for word, value in values.items():
        await soc.access(False, word, value)
    for word, value in values.items():
        assert await soc.access(False, word) == value
    assert (int(dut.core.ifmap_beats.value), int(dut.core.ifmap_packets.value)) == (20, 1)
    assert int(dut.core.ifmap_sum.value) == folded(bytes(soc.memory[64:144]))


@cocotb.test()
async def drop_leaves_only_the_packet_that_has_begun(dut):
    """In every cycle of the first packet, and behind it: whole packets or none."""
    soc = await started(dut, latency=1)
    soc.memory[0:96] = bytes(range(96))
    whole = set()
    for delay in range(-1, 14):
        before = int(dut.core.ifmap_beats.value), int(dut.core.ifmap_packets.value)
        soc.pauses = 1.0
        await soc.begin(IFMAP, 0, 40)
        await soc.begin(IFMAP, 40, 12)
        soc.pauses = float(delay < 0)
        for _ in range(delay):
            await soc.cycle()
        await soc.access(True, CONTROL, 0)
        soc.pauses = 0.0
        for _ in range(20):
            await soc.cycle()
        beats, packets = int(dut.core.ifmap_beats.value) - before[0], int(dut.core.ifmap_packets.value) - before[1]
        assert (beats, packets) in {(0, 0), (10, 1), (13, 2)}
        whole.add(packets)
    assert whole == {0, 1, 2}


@cocotb.test()
async def a_packet_of_the_wrong_length_or_dropped_never_counts_as_come(dut):
    soc = await started(dut)
    await soc.begin(OFMAP, 3000, 16)
    await soc.begin(LOADABLE, 0, 12)
    for _ in range(30):
        assert await soc.access(True, CONTROL) == 0
    await soc.access(True, CONTROL, 0)
    before = bytes(soc.memory[3008:3100])
    await soc.begin(OFMAP, 3000, 8)
    await soc.begin(LOADABLE, 0, 40)
    await soc.until_came()
    assert soc.memory[3000:3008] == soc.memory[0:8] and soc.memory[3008:3100] == before


@cocotb.test()
async def after_a_reset_in_a_packet_the_next_one_is_whole(dut):
    soc = await started(dut, latency=3)
    for delay in range(6):
        await soc.begin(LOADABLE, 0, 40)
        await soc.begin(LOADABLE, 40, 40)
        await soc.begin(OFMAP, 2000, 40)
        for _ in range(5 * delay):
            await soc.cycle()
        await soc.reset()
        assert await soc.access(True, CONTROL) == 0
        await soc.begin(OFMAP, 2400, 24)
        await soc.begin(LOADABLE, 100, 24)
        await soc.until_came()
        assert soc.memory[2400:2424] == soc.memory[100:124]
