"""The key memory: each key where it belongs, shown when chosen, and gone when it must be."""

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.lock.key_memory import KeyMemory
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.provisioning import MARK, PLACES, Place, key_rows
from tests.hw.stream_tools import simulate

CONFIGS = [
    Config(rows=4, cols=16, bytes_per_beat=beat, suite=suite, licences=True, pipeline_registers=registers)
    for beat, suite, registers in ((4, "tinyjambu", False), (8, "ascon", True), (16, "acorn", True))
]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.bytes_per_beat}")
ZERO = bytes(16)


class Bench:
    """Drives a key memory whose bitstream brings `device_key`."""

    def __init__(self, config: Config, device_key: bytes | None = None):
        self.dut, self.reset, self.size = KeyMemory(config), Signal(), config.bytes_per_beat
        self.dut.rows.init = [[int.from_bytes(row[at : at + 4], "little") for at in range(0, 16, 4)] for row in
                              key_rows(device_key)]  # fmt: skip
        self.latency = 1 + config.pipeline_registers

    def run(self, testbench) -> None:
        async def process(ctx):
            self.ctx = ctx
            await testbench()

        simulate(ResetInserter(self.reset)(self.dut), process)

    def row(self, place: int) -> bytes:
        return b"".join(word.to_bytes(4, "little") for word in self.ctx.get(self.dut.rows[place]))

    async def pulse(self, signal: Signal) -> None:
        self.ctx.set(signal, 1)
        await self.ctx.tick()
        self.ctx.set(signal, 0)

    async def write(self, key: bytes) -> None:
        """The device's key, as the register file does."""
        await self.pulse(self.dut.device.erase)
        await self.ctx.tick().repeat(2)
        for index in range(4):
            self.ctx.set(self.dut.device.index, index)
            self.ctx.set(self.dut.device.data, int.from_bytes(key[4 * index :][:4], "little"))
            await self.pulse(self.dut.device.write)
            self.ctx.set(self.dut.device.data, 0xDEAD_BEEF)

    async def take(self, key: bytes, rng) -> None:
        """A model key, beat by beat, with pauses."""
        await self.pulse(self.dut.begins)
        for at in range(0, 16, self.size):
            self.ctx.set(self.dut.beat, int.from_bytes(rng.bytes(self.size), "little"))
            await self.ctx.tick().repeat(int(rng.integers(1, 3)))
            self.ctx.set(self.dut.beat, int.from_bytes(key[at : at + self.size], "little"))
            await self.pulse(self.dut.model)
        if self.latency > 1:  # it is written a cycle later too
            await self.ctx.tick()

    async def shows(self, of_device: int, key: bytes) -> None:
        self.ctx.set(self.dut.of_device, of_device)
        await self.ctx.tick().repeat(self.latency)
        assert self.ctx.get(self.dut.key) == int.from_bytes(key, "little")


@every_config
def test_each_key_is_shown_when_it_is_chosen(config, rng):
    """With the latency of the docstring, in any order, and neither disturbs the other."""
    bench = Bench(config)

    async def testbench():
        keys = [ZERO, ZERO]
        await bench.ctx.tick().repeat(6)
        for _ in range(40):
            which = int(rng.integers(2))
            keys[which] = rng.bytes(16)
            await (bench.write(keys[1]) if which else bench.take(keys[0], rng))
            for of_device in rng.permutation([0, 1, 0]):
                await bench.shows(int(of_device), keys[of_device])

    bench.run(testbench)


@every_config
def test_what_is_erased_is_gone_in_4_cycles_and_shows_no_more_after_2_more(config, rng):
    """Each key alone, and both at once; a model key that goes on coming while it is forgotten does not come."""
    bench = Bench(config)
    dut = bench.dut

    async def testbench():
        ctx = bench.ctx
        await ctx.tick().repeat(6)
        for erases, forgets in ((1, 0), (0, 1), (1, 1)) * 3:
            device_key, model_key = rng.bytes(16), rng.bytes(16)
            await bench.write(device_key)
            await bench.take(model_key, rng)
            ctx.set(dut.of_device, erases)
            ctx.set(dut.device.erase, erases)
            ctx.set(dut.forget, forgets)
            ctx.set(dut.model, forgets)
            ctx.set(dut.beat, (1 << len(dut.beat)) - 1)
            await ctx.tick()
            ctx.set(dut.device.erase, 0)
            await ctx.tick().repeat(3)
            assert bench.row(Place.DEVICE) == (ZERO if erases else device_key)
            assert bench.row(Place.MODEL) == (ZERO if forgets else model_key)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.key) == 0
            ctx.set(dut.forget, 0)
            ctx.set(dut.model, 0)
            assert [bench.row(at) for at in range(len(Place), PLACES)] == key_rows(None)[len(Place) :]

    bench.run(testbench)


@every_config
def test_a_reset_in_mid_key_leaves_no_key_that_came_after_power_up(config, rng):
    """Not even a whole one; and what is written then is right."""
    bench = Bench(config)

    async def testbench():
        ctx = bench.ctx
        for number in range(8):
            await ctx.tick().repeat(6)
            key = rng.bytes(16)
            await bench.write(key)
            await bench.take(rng.bytes(16), rng)
            ctx.set(bench.dut.device.write, number % 2)
            await bench.pulse(bench.reset)
            ctx.set(bench.dut.device.write, 0)
            for _ in range(6):
                assert not ctx.get(bench.dut.device.provisioned)
                await ctx.tick()
            assert [bench.row(place) for place in range(PLACES)] == key_rows(None)

    bench.run(testbench)


@every_config
def test_a_key_of_the_bitstream_is_there_after_every_reset_until_something_erases_it(config, rng):
    """`provisioned` comes in the second cycle after the reset, once. A key that the host writes takes its place, and goes with
    the next reset as any other."""
    key = rng.bytes(16)
    bench = Bench(config, key)

    async def told() -> list[int]:
        seen = []
        for _ in range(6):
            seen.append(bench.ctx.get(bench.dut.device.provisioned))
            await bench.ctx.tick()
        return seen

    async def testbench():
        for _ in range(3):
            assert await told() == [0, 1, 0, 0, 0, 0]
            await bench.shows(1, key)
            assert bench.row(Place.MARK) == MARK
            await bench.take(rng.bytes(16), rng)
            await bench.pulse(bench.reset)
        await told()
        if rng.integers(2):
            await bench.pulse(bench.dut.device.erase)
        else:
            other = rng.bytes(16)
            await bench.write(other)
            await bench.shows(1, other)
        await bench.ctx.tick().repeat(4)
        await bench.pulse(bench.reset)
        assert await told() == [0] * 6
        assert [bench.row(place) for place in range(PLACES)] == key_rows(None)

    bench.run(testbench)
