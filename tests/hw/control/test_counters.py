"""The counters against counts made in Python. Their memory gives nonsense for a word that is read while it is written."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import memory

from deeplock.hw.control import counters
from deeplock.hw.control.counters import FIRST_COUNTER, Counters
from deeplock.pymodel.spec.registers import COUNTERS
from tests.hw.stream_tools import simulate

CONSTANTS = [0x314B_4C44, 0, 0xFFFF_FFFF, 16384]
MODULUS = 1 << 32


class DontCareMemory(Elaboratable):
    def __init__(self, data: memory.MemoryData, attrs: dict):
        self._memory = memory.Memory(data, attrs=attrs)
        self._read, self._write = self._memory.read_port(), self._memory.write_port()
        self._data = Signal(32)

    def read_port(self):
        return SimpleNamespace(addr=self._read.addr, data=self._data)

    def write_port(self):
        return self._write

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self._memory
        collided = Signal()
        m.d.sync += collided.eq(self._write.en & (self._write.addr == self._read.addr))
        m.d.comb += self._data.eq(self._read.data ^ collided.replicate(32))
        return m


@pytest.fixture(autouse=True)
def collisions_give_nonsense(monkeypatch):
    monkeypatch.setattr(counters, "memory", SimpleNamespace(Memory=DontCareMemory, MemoryData=memory.MemoryData))


class Host:
    """Drives events and reads; knows the true counts."""

    def __init__(self, ctx, dut: Counters, count: int):
        self.ctx, self.dut = ctx, dut
        self.there = np.arange(len(COUNTERS)) < count
        self.counts = np.zeros(len(COUNTERS), np.int64)
        self._value = None  # of a read that was granted in the last cycle

    async def cycle(self, events, clear=False, read: int | None = None) -> bool:
        """One cycle; `read` is the address. Gives whether that was granted; then the next cycle checks the word."""
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.events, int(events @ (1 << np.arange(len(COUNTERS)))))
        ctx.set(dut.clear, bool(clear))
        ctx.set(dut.read, read is not None)
        ctx.set(dut.address, read or 0)
        granted = bool(ctx.get(dut.granted))
        if self._value is not None:
            assert ctx.get(dut.word) == self._value
        self._value = self._expected(read) if granted else None
        await ctx.tick()
        self.counts = np.zeros_like(self.counts) if clear else (self.counts + events * self.there) % MODULUS
        return granted

    def _expected(self, address: int) -> int:
        if address < FIRST_COUNTER:
            return [*CONSTANTS, *[0] * FIRST_COUNTER][address]
        return int(self.counts[address - FIRST_COUNTER])

    async def check_all(self) -> None:
        """Every word, at any later time."""
        for address in range(FIRST_COUNTER + len(COUNTERS)):
            waited = 0
            while not await self.cycle(np.zeros_like(self.counts), read=address):
                waited += 1
            assert 1 <= waited <= 1 + (address >= FIRST_COUNTER)
            await self.cycle(np.zeros_like(self.counts))


def run(testbench, reset=None, count: int = len(COUNTERS)) -> None:
    dut = Counters(CONSTANTS, count)

    async def process(ctx):
        await testbench(Host(ctx, dut, count))

    simulate(dut if reset is None else ResetInserter(reset)(dut), process)


@pytest.mark.parametrize(
    ("count", "rate", "reads"),
    [*product([len(COUNTERS)], [0.05, 0.5, 1.0], [0.0, 0.1, 1.0]), (1, 0.5, 0.1), (1, 1.0, 1.0)],
)
def test_every_read_is_exact_whatever_the_events_clears_and_reads(rng, count, rate, reads):
    """Reads as often as they may come; clears in any phase of the scan. Counters that are left out stay 0."""

    async def testbench(host):
        address, pause = None, 0
        for _ in range(2000):
            if address is None and not pause and rng.random() < reads:
                address = int(rng.integers(FIRST_COUNTER + len(COUNTERS)))
            events = (rng.random(len(COUNTERS)) < rate).astype(int)
            clear = rng.random() < 0.01
            pause = max(0, pause - 1)
            if await host.cycle(events * (not clear), clear, address):
                address, pause = None, 1
        while address is not None and not await host.cycle(np.zeros_like(host.counts), read=address):
            pass
        await host.cycle(np.zeros_like(host.counts))
        await host.check_all()

    run(testbench, count=count)


@pytest.mark.parametrize("ahead", range(len(COUNTERS)))
def test_nothing_is_lost_when_reads_run_after_the_scanner(ahead):
    """All counters at the full rate, a read in every third cycle, always as far before or behind the scanner."""

    async def testbench(host):
        ones = np.ones(len(COUNTERS), int)
        number, granted = ahead, False
        for _ in range(3000):
            granted = await host.cycle(ones, read=None if granted else FIRST_COUNTER + number % len(COUNTERS))
            number += 2 * granted  # as the scanner does
        assert host.counts.tolist() == [3000] * len(COUNTERS)
        await host.check_all()

    run(testbench)


def test_one_event_a_cycle_is_counted_once():
    """As the accelerator does it: one cause at a time, and CYCLES."""

    async def testbench(host):
        for cycle in range(2000):
            events = np.zeros(len(COUNTERS), int)
            events[[0, 1 + cycle % (len(COUNTERS) - 1)]] = 1
            await host.cycle(events)
        assert host.counts[0] == host.counts[1:].sum() == 2000
        await host.check_all()

    run(testbench)


@pytest.mark.parametrize("phase", range(16))
def test_a_clear_in_any_phase_of_the_scan_forgets_all_and_loses_nothing_after(phase):
    async def testbench(host):
        ones = np.ones(len(COUNTERS), int)
        for _ in range(100 + phase):
            await host.cycle(ones)
        await host.cycle(0 * ones, clear=True)
        for _ in range(phase):
            await host.cycle(ones)
        await host.check_all()

    run(testbench)


def test_counts_return_to_0_at_2_to_the_32(rng):
    async def testbench(host):
        for _ in range(len(COUNTERS) + 2):  # past the first round, in which the memory does not count
            await host.cycle(np.zeros(len(COUNTERS), int))
        for _ in range(2):  # the first time the scanner is writing one of them
            for index in range(len(COUNTERS)):
                host.ctx.set(host.dut.words[FIRST_COUNTER + index], MODULUS - 16)
            await host.cycle(np.zeros(len(COUNTERS), int))
        host.counts[:] = MODULUS - 16
        for _ in range(20):
            await host.cycle(np.ones(len(COUNTERS), int))
        assert host.counts.tolist() == [4] * len(COUNTERS)
        await host.check_all()

    run(testbench)


def test_reset_clears():
    reset = Signal()

    async def testbench(host):
        for _ in range(100):
            await host.cycle(np.ones(len(COUNTERS), int))
        host.ctx.set(reset, 1)
        await host.cycle(np.zeros(len(COUNTERS), int))
        host.ctx.set(reset, 0)
        host.counts[:] = 0
        await host.check_all()

    run(testbench, reset)
