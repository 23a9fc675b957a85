import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.activation_memory import ActivationMemory, parts_of
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import simulate


class Reference:
    """Words as NumPy bytes; unwritten ones are not compared."""

    def __init__(self, config: Config):
        self.config = config
        self.data = np.zeros((config.activation_words, config.rows), np.uint8)

    def write(self, word: int, data: np.ndarray, chunks: int) -> None:
        lanes = self.config.lanes
        for chunk in range(self.config.rows // lanes):
            if chunks >> chunk & 1:
                self.data[word, chunk * lanes : chunk * lanes + lanes] = data[chunk * lanes : chunk * lanes + lanes]


def payload(config: Config, word: int, data: np.ndarray, chunks: int) -> dict:
    return {"word": word, "data": [to_word(part) for part in data.reshape(-1, config.lanes)], "chunks": chunks}


@pytest.mark.parametrize("write_share", [0.3, 1.0])
@pytest.mark.parametrize(("rows", "lanes"), [(4, 4), (4, 1), (8, 2)])
def test_reads_and_writes_of_both_writers_in_every_cycle(rows, lanes, write_share, rng):
    """16 words, so that reads and writes meet at an address: a read sees what was written up to the cycle but one before."""
    config = Config(rows=rows, cols=rows, bytes_per_beat=4, lanes=lanes, activation_words=16)
    dut = ActivationMemory(config)
    reference = Reference(config)
    every = (1 << rows // lanes) - 1

    def random_write() -> tuple:
        return int(rng.integers(0, 16)), rng.integers(0, 256, rows, dtype=np.uint8), int(rng.integers(1, every + 1))

    async def testbench(ctx):
        shown, waiting, waited, before = 0, None, 0, None
        for _ in range(600):
            word, read = int(rng.integers(0, 16)), bool(rng.integers(0, 2))
            ctx.set(dut.words.addresses, [word] * parts_of(config))
            ctx.set(dut.words.read, read)
            results = random_write() if rng.random() < write_share * 0.8 else None
            waiting = waiting or (random_write() if rng.random() < write_share else None)
            for port, write in ((dut.results, results), (dut.ifmap, waiting)):
                ctx.set(port.valid, write is not None)
                ctx.set(port.payload, payload(config, *(write or random_write())))
            assert ctx.get(dut.results.ready) == 1
            assert ctx.get(dut.ifmap.ready) == (results is None)
            shown = to_word(reference.data[word]) if read else shown
            if before:
                reference.write(*before)
            waited += bool(results and waiting)
            before = results or waiting
            waiting = waiting if results else None
            await ctx.tick()
            assert ctx.get(dut.words.word) == shown
        assert waited > 20

    simulate(dut, testbench)


@pytest.mark.parametrize(("rows", "lanes"), [(4, 4), (4, 1), (8, 2)])
def test_single_port_banks_give_way_to_results_then_to_reads(rows, lanes, rng):
    """A write a cycle and a read of the other bank; what was read stays until the next read, whatever is written."""
    config = Config(rows=rows, cols=rows, bytes_per_beat=4, lanes=lanes, activation_words=16, single_port=True)
    dut = ActivationMemory(config)
    reference = Reference(config)
    every = (1 << rows // lanes) - 1

    def random_write() -> tuple:
        return int(rng.integers(0, 16)), rng.integers(0, 256, rows, dtype=np.uint8), int(rng.integers(1, every + 1))

    async def testbench(ctx):
        shown, waiting = 0, None
        refused, waited, in_parallel = 0, 0, 0
        for _ in range(1500):
            word, read = int(rng.integers(0, 16)), bool(rng.integers(0, 2))
            ctx.set(dut.words.addresses, [word] * parts_of(config))
            ctx.set(dut.words.read, read)
            results = random_write() if rng.random() < 0.4 else None
            waiting = waiting or (random_write() if rng.random() < 0.8 else None)
            for port, write in ((dut.results, results), (dut.ifmap, waiting)):
                ctx.set(port.valid, write is not None)
                ctx.set(port.payload, payload(config, *(write or random_write())))
            assert ctx.get(dut.results.ready) == 1
            granted = not (results and results[0] // 8 == word // 8)
            assert ctx.get(dut.words.granted) == granted
            refused += read and not granted
            shown = to_word(reference.data[word]) if read and granted else shown
            if results:
                reference.write(*results)
            if waiting:
                free = not results and not (read and waiting[0] // 8 == word // 8)
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


@pytest.mark.parametrize("single_port", [False, True])
def test_reset_keeps_the_words(single_port, rng):
    config = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=16, single_port=single_port)
    dut = ActivationMemory(config)
    reset = Signal()
    words = rng.integers(0, 256, (16, 4), dtype=np.uint8)

    async def testbench(ctx):
        ctx.set(dut.results.valid, 1)
        for word, data in enumerate(words):
            ctx.set(dut.results.payload, payload(config, word, data, 1))
            await ctx.tick()
        ctx.set(dut.results.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.words.read, 1)
        for word, data in enumerate(words):
            ctx.set(dut.words.addresses, [word] * parts_of(config))
            await ctx.tick()
            assert ctx.get(dut.words.word) == to_word(data)

    simulate(ResetInserter(reset)(dut), testbench)
