import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.activation_memory import ActivationMemory, read_steps
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import simulate


def config_of(rows: int, lanes: int, **fields) -> Config:
    return Config(rows=rows, cols=rows, bytes_per_beat=4, lanes=lanes, activation_words=16, **fields)


DENSE = [config_of(4, 4), config_of(4, 1), config_of(8, 2), config_of(16, 16), config_of(16, 8)]
WORDS = [config_of(4, 1, dense=False), config_of(8, 1, dense=False)]
SINGLE_PORT = [config_of(4, 1, dense=False, single_port=True), config_of(8, 1, dense=False, single_port=True)]


def name(config: Config) -> str:
    return f"{config.rows}-{config.lanes}{'-dense' * config.dense}"


class Reference:
    """Bytes, and the words that reads show: each takes its bytes in the last read but one of its `read_steps`."""

    def __init__(self, config: Config):
        self.config, self.rows = config, config.rows
        self.data = np.zeros(config.activation_words * config.rows, np.uint8)
        self.shown = 0
        self.pipeline: list[int | None] = [None] * (read_steps(config) - 1)  # address, then word, of each read inside

    def write(self, address: int, data: np.ndarray, keep: int) -> None:
        for at, byte in enumerate(data):
            if keep >> at & 1:
                self.data[(address + at) % len(self.data)] = byte

    def word(self, address: int) -> int:
        first = address if self.config.dense else address - address % self.rows
        return to_word(self.data[(first + np.arange(self.rows)) % len(self.data)])

    def read(self, address: int) -> int | None:
        """The word that is shown from now on; None while the first reads are inside."""
        if not self.config.dense:
            return self.word(address)
        first, second = self.pipeline
        self.pipeline = [address, None if first is None else self.word(first)]
        return second


class Writers:
    """Random writes at any byte: several bytes of results, single ones of the ifmap."""

    def __init__(self, dut: ActivationMemory, config: Config, rng: np.random.Generator):
        self.rng, self.size = rng, config.activation_words * config.rows
        self.ports = [(dut.results, config.lanes), (dut.ifmap, 1)]

    def write_of(self, port) -> tuple[int, np.ndarray, int]:
        size = next(size for each, size in self.ports if each is port)
        return (
            int(self.rng.integers(0, self.size)),
            self.rng.integers(0, 256, size, dtype=np.uint8),
            int(self.rng.integers(1, 1 << size)),
        )

    def offer(self, ctx, port, write: tuple | None) -> None:
        """Valid if there is a write; what is shown without one does not matter."""
        ctx.set(port.valid, write is not None)
        address, values, keep = write or self.write_of(port)
        ctx.set(port.payload, {"address": address, "data": values.tolist(), "keep": keep})


@pytest.mark.parametrize("write_share", [0.3, 1.0])
@pytest.mark.parametrize("config", DENSE + WORDS, ids=name)
def test_reads_and_writes_of_both_writers_in_every_cycle(config, write_share, rng):
    """16 words, so that reads and writes meet at an address and wrap round the end: what a read takes was written up to the
    cycle but one before. Reads pause, and the words inside stay where they are."""
    dut = ActivationMemory(config)
    reference, writers = Reference(config), Writers(dut, config, rng)

    async def testbench(ctx):
        shown: int | None = 0
        waiting, waited, before, crossed = None, 0, None, 0
        for _ in range(800):
            address, read = int(rng.integers(0, writers.size)), bool(rng.integers(0, 4))
            ctx.set(dut.words.address, address)
            ctx.set(dut.words.read, read)
            results = writers.write_of(dut.results) if rng.random() < write_share * 0.8 else None
            waiting = waiting or (writers.write_of(dut.ifmap) if rng.random() < write_share else None)
            writers.offer(ctx, dut.results, results)
            writers.offer(ctx, dut.ifmap, waiting)
            assert ctx.get(dut.results.ready) == ctx.get(dut.words.granted) == 1
            assert ctx.get(dut.ifmap.ready) == (results is None)
            if read:
                shown = reference.read(address)
                crossed += address % config.rows and address > writers.size - config.rows
            if before:
                reference.write(*before)
            waited += bool(results and waiting)
            before = results or waiting
            waiting = waiting if results else None
            await ctx.tick()
            assert shown is None or ctx.get(dut.words.word) == shown
        assert waited > 20 and (crossed > 5 or not config.dense)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", DENSE, ids=name)
def test_every_byte_begins_a_word_also_around_the_end(config, rng):
    """Written byte by byte as an ifmap is, read from one byte on after the other: a word a cycle, 3 reads later."""
    dut = ActivationMemory(config)
    size = config.activation_words * config.rows
    values = rng.integers(0, 256, size, dtype=np.uint8)

    async def testbench(ctx):
        ctx.set(dut.ifmap.valid, 1)
        for address, value in enumerate(values.tolist()):
            ctx.set(dut.ifmap.payload, {"address": address, "data": [value], "keep": 1})
            await ctx.tick()
        ctx.set(dut.ifmap.valid, 0)
        await ctx.tick()
        ctx.set(dut.words.read, 1)
        assert read_steps(config) == 3
        for address in range(size + 2):
            ctx.set(dut.words.address, address % size)
            await ctx.tick()
            if address >= 2:
                expected = values[(address - 2 + np.arange(config.rows)) % size]
                assert ctx.get(dut.words.word) == to_word(expected)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", DENSE + WORDS + SINGLE_PORT, ids=name)
def test_a_result_at_any_byte_leaves_its_neighbours_alone(config, rng):
    """At every byte, around the end of the memory too, with every number of bytes kept, the first ones or the last ones."""
    lanes, size, every = config.lanes, config.activation_words * config.rows, (1 << config.lanes) - 1
    masks = [every >> count for count in range(lanes)] + [every ^ every >> count for count in range(1, lanes)]
    dut = ActivationMemory(config)
    reference = Reference(config)

    async def testbench(ctx):
        for number in range(2 * size):  # masks are an odd number, so that each meets each offset in a word
            address, keep = number % size, masks[number % len(masks)]
            data = rng.integers(0, 256, lanes, dtype=np.uint8)
            reference.write(address, data, keep)
            ctx.set(dut.results.payload, {"address": address, "data": data.tolist(), "keep": keep})
            ctx.set(dut.results.valid, 1)
            await ctx.tick()
            ctx.set(dut.results.valid, 0)
            ctx.set(dut.words.read, 1)
            await ctx.tick()
            for word in (-1, 0, 1):
                at = (address // config.rows + word) * config.rows % size
                ctx.set(dut.words.address, at)
                await ctx.tick().repeat(read_steps(config))
                assert ctx.get(dut.words.word) == reference.word(at)
            ctx.set(dut.words.read, 0)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", SINGLE_PORT, ids=name)
def test_single_port_banks_give_way_to_results_then_to_reads(config, rng):
    """A write a cycle and a read of the other bank; what was read stays until the next read, whatever is written."""
    dut = ActivationMemory(config)
    reference, writers = Reference(config), Writers(dut, config, rng)

    def bank(address: int) -> bool:
        return address >= writers.size // 2

    async def testbench(ctx):
        shown, waiting = 0, None
        refused, waited, in_parallel = 0, 0, 0
        for _ in range(1500):
            address, read = int(rng.integers(0, writers.size)), bool(rng.integers(0, 2))
            ctx.set(dut.words.address, address)
            ctx.set(dut.words.read, read)
            results = writers.write_of(dut.results) if rng.random() < 0.4 else None
            waiting = waiting or (writers.write_of(dut.ifmap) if rng.random() < 0.8 else None)
            writers.offer(ctx, dut.results, results)
            writers.offer(ctx, dut.ifmap, waiting)
            assert ctx.get(dut.results.ready) == 1
            granted = not (results and bank(results[0]) == bank(address))
            assert ctx.get(dut.words.granted) == granted
            refused += read and not granted
            shown = reference.read(address) if read and granted else shown
            if results:
                reference.write(*results)
            if waiting:
                free = not results and not (read and bank(waiting[0]) == bank(address))
                assert ctx.get(dut.ifmap.ready) == free
                waited += not free
                if free:
                    in_parallel += read
                    reference.write(*waiting)
                    waiting = None
            await ctx.tick()
            assert ctx.get(dut.words.word) == shown
        assert refused > 20 and waited > 20 and in_parallel > 20

    simulate(dut, testbench)


@pytest.mark.parametrize("config", [DENSE[0], DENSE[2], WORDS[0], SINGLE_PORT[0]], ids=name)
def test_reset_keeps_the_bytes(config, rng):
    dut = ActivationMemory(config)
    reset = Signal()
    size = config.activation_words * config.rows
    values = rng.integers(0, 256, size, dtype=np.uint8)

    async def testbench(ctx):
        ctx.set(dut.results.valid, 1)
        for address in range(0, size, config.lanes):
            data = values[address : address + config.lanes].tolist()
            ctx.set(dut.results.payload, {"address": address, "data": data, "keep": -1})
            await ctx.tick()
        ctx.set(dut.results.valid, 0)
        await ctx.tick()
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.words.read, 1)
        for address in range(0, size, config.rows):
            ctx.set(dut.words.address, address)
            await ctx.tick().repeat(read_steps(config))
            assert ctx.get(dut.words.word) == to_word(values[address : address + config.rows])

    simulate(ResetInserter(reset)(dut), testbench)
