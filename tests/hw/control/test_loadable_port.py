from dataclasses import replace
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.control.loadable_port import LoadablePort
from deeplock.hw.control.program_check import steps_of
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import MAGIC, VERSION, Header
from deeplock.pymodel.spec.record import WORDS, Record
from deeplock.pymodel.spec.registers import Error
from tests.features import left_out
from tests.hw.layer_tools import descriptor, to_word
from tests.hw.loadable_tools import header_of
from tests.hw.stream_tools import send, simulate

CONFIG = Config(
    rows=4, cols=16, bytes_per_beat=8, activation_words=256, accumulators=32, program_words=64, ifmap_bytes=128
)
SHORT = Config(**{**vars(CONFIG), "pipeline_registers": False})
GAPS = Config(**{**vars(CONFIG), "dense": False, "lanes": 1})
BEATS = (4, 8, 16)


def config_of(bytes_per_beat: int) -> Config:
    return Config(**{**vars(CONFIG), "bytes_per_beat": bytes_per_beat})


def program_of(rng, layers: int) -> bytes:
    """The smallest descriptors. The first takes an ifmap, the last parameters and writes the ofmap."""
    blocks = CONFIG.cols // CONFIG.rows  # of a diagonal layer
    return b"".join(
        descriptor(
            source=int(rng.integers(0, 1 << 16)),
            **({"diagonal": 1, "cblocks": blocks, "kblocks": blocks} if number < layers - 1 else {}),
            wait_input=int(number == 0),
            release_input=int(number == layers - 1),
            to_stream=int(number == layers - 1),
        ).pack()
        for number in range(layers)
    )


def records_of(head: bytes) -> list[Record]:
    return [(Descriptor if at else Header).unpack(head[at : at + 4 * WORDS]) for at in range(0, len(head), 4 * WORDS)]


def beats_of(config: Config, data: bytes) -> list[dict[str, int]]:
    rows = np.frombuffer(data, np.uint8).reshape(-1, config.bytes_per_beat)
    return [{"data": to_word(row), "last": int(number == len(rows) - 1)} for number, row in enumerate(rows)]


def behind(config: Config) -> int:
    """Cycles from a head's last beat to the end of its check, beyond those of a port without registers: the beat is held, then
    its words, one after the other, and the last errors come a cycle later."""
    return config.pipeline_registers * (config.bytes_per_beat // 2 + 1)


class Host:
    """Watches the program port and the error pulses, and drives the commands."""

    def __init__(self, dut: LoadablePort):
        self.dut = dut
        self.program: dict[int, int] = {}
        self.errors: list[Error] = []
        self.cycles: list[int] = []
        self.now = 0

    async def watch(self, ctx) -> None:
        port, control = self.dut.program, self.dut.control
        ctx.set(self.dut.trusted, 1)
        async for *_, en, address, word, error in ctx.tick().sample(port.en, port.addr, port.data, control.error):
            if en:
                self.program[address] = word
            if error:
                self.errors.append(Error(error))
                self.cycles.append(self.now)
            self.now += 1

    async def pulse(self, ctx, signal) -> None:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def load(self, ctx) -> None:
        await self.pulse(ctx, self.dut.control.load)
        assert self.state(ctx) == "loading"

    async def takes_nothing(self, ctx) -> None:
        """After an error, until it has stopped."""
        ctx.set(self.dut.head.valid, 1)
        for _ in range(2):
            assert self.state(ctx) == "empty" and not ctx.get(self.dut.head.ready)
            await ctx.tick()
        ctx.set(self.dut.head.valid, 0)

    async def stop(self, ctx) -> None:
        await self.pulse(ctx, self.dut.stop)

    def state(self, ctx) -> str:
        control = self.dut.control
        loading, loaded = ctx.get(control.loading), ctx.get(control.loaded)
        assert not (loading and loaded)
        return "loading" if loading else "loaded" if loaded else "empty"

    async def loads(self, ctx, config: Config, head: bytes) -> None:
        """The head is right."""
        await self.load(ctx)
        self.program.clear()
        await send(ctx, self.dut.head, beats_of(config, head))
        for _ in range(1 + behind(config)):
            if self.state(ctx) == "loading":
                await ctx.tick()
        assert self.state(ctx) == "loaded"
        assert self.program == dict(enumerate(np.frombuffer(head, "<u4")[WORDS:].tolist()))


def head_of(rng, config: Config, layers: int) -> bytes:
    return header_of(config, layers=layers).pack() + program_of(rng, layers)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_a_head_is_kept_until_another_is_loaded(bytes_per_beat, pauses, rng, dice):
    """Nothing is taken in between, and the next one's beats may wait already."""
    config = config_of(bytes_per_beat)
    dut = LoadablePort(config)
    host = Host(dut)
    heads = [head_of(rng, config, layers) for layers in (1, 4, 2)]

    async def testbench(ctx):
        for head in heads:
            host.program.clear()
            await host.load(ctx)
            ctx.set(dut.control.load, 1)  # not heeded by a port that is loading
            await ctx.tick().repeat(3)
            ctx.set(dut.control.load, 0)
            await ctx.tick().until(dut.control.loaded)
            for _ in range(dice.randint(1, 5)):
                assert host.state(ctx) == "loaded" and not ctx.get(dut.head.ready)
                got = ctx.get(dut.header)
                assert Header(**{name: got[name] for name in Header.layout.fields}).pack() == head[: 4 * WORDS]
                assert host.program == dict(enumerate(np.frombuffer(head, "<u4")[WORDS:].tolist()))
                await ctx.tick()

    async def write(ctx):
        beats = [beat for head in heads for beat in beats_of(config, head)]
        await send(ctx, dut.head, beats, pauses, Random(dice.random()))

    simulate(dut, testbench, write, background=[host.watch])
    assert host.errors == []


@pytest.mark.parametrize("bytes_per_beat", BEATS)
@pytest.mark.parametrize("registers", [False, True])
def test_a_head_takes_as_long_as_its_check(registers, bytes_per_beat, rng):
    config = replace(config_of(bytes_per_beat), pipeline_registers=registers)
    dut = LoadablePort(config)
    host = Host(dut)
    data = head_of(rng, config, 2)

    async def testbench(ctx):
        await host.load(ctx)
        start = host.now
        await send(ctx, dut.head, beats_of(config, data))
        await ctx.tick().until(dut.control.loaded)
        assert host.now - start == sum(map(steps_of, records_of(data))) + 2 + registers * (len(data) // 4 + 2)

    simulate(dut, testbench, background=[host.watch])
    assert host.errors == []


@pytest.mark.parametrize("config", [CONFIG, SHORT], ids=["registers", "no registers"])
def test_a_head_is_loaded_when_it_is_both_right_and_trusted(config, rng):
    """Whichever comes first; in the cycle after the later one. Until then the port loads, and takes nothing more. An ABORT may
    come instead, also in the last cycle."""
    dut = LoadablePort(config)
    host = Host(dut)
    head = head_of(rng, config, 1)

    async def testbench(ctx):
        for delay in (0, 1, 2, 3, 5, 20):
            for aborts in (False, True):
                ctx.set(dut.trusted, 0)
                await host.load(ctx)
                await send(ctx, dut.head, beats_of(config, head))
                ctx.set(dut.head.valid, 1)  # what comes next waits
                last = max(delay, behind(config))
                for cycle in range(last + 1):
                    ctx.set(dut.trusted, cycle >= delay)
                    ctx.set(dut.stop, aborts and cycle == last)
                    assert host.state(ctx) == "loading" and not ctx.get(dut.head.ready)
                    await ctx.tick()
                ctx.set(dut.stop, 0)
                ctx.set(dut.head.valid, 0)
                assert host.state(ctx) == ("empty" if aborts else "loaded")
        assert host.errors == []

    simulate(dut, testbench, background=[host.watch])


@pytest.mark.parametrize("config", [CONFIG, SHORT], ids=["registers", "no registers"])
def test_a_head_that_its_licence_refuses_is_not_loaded(config, rng, dice):
    """Told when the head is both right and trusted, in the cycle in which it would be loaded: before, nobody knows whose it is,
    and the error of a rule comes first. The next head is taken."""
    dut = LoadablePort(config)
    host = Host(dut)
    head = head_of(rng, config, 1)
    wrong = replace(Descriptor.unpack(head[4 * WORDS :]), last_columns=config.cols + 1)

    async def testbench(ctx):
        for delay in (0, 1, 2, 5):
            refusal = dice.choice((Error.OTHER_MODEL, Error.OTHER_VERSION))
            ctx.set(dut.refusal, refusal)
            ctx.set(dut.trusted, 0)
            await host.load(ctx)
            await send(ctx, dut.head, beats_of(config, head))
            last = max(delay, behind(config))
            for cycle in range(last + 1):
                ctx.set(dut.trusted, cycle >= delay)
                assert host.state(ctx) == "loading" and host.errors == []
                await ctx.tick()
            assert host.errors == [refusal]
            await host.takes_nothing(ctx)
            await host.stop(ctx)
            assert host.errors == [refusal] and host.state(ctx) == "empty"
            await host.load(ctx)
            await send(ctx, dut.head, beats_of(config, head[: 4 * WORDS] + wrong.pack()))
            await ctx.tick().repeat(1 + behind(config))
            assert host.errors == [refusal, Error.BAD_DESCRIPTOR]
            await host.stop(ctx)
            ctx.set(dut.refusal, Error.NONE)
            await host.loads(ctx, config, head)
            ctx.set(dut.refusal, refusal)  # of no effect on what is loaded
            await ctx.tick().repeat(2)
            assert host.state(ctx) == "loaded"
            host.errors.clear()

    simulate(dut, testbench, background=[host.watch])


WRONG_HEADERS = [
    ({"magic": MAGIC ^ 1}, Error.BAD_MAGIC),
    ({"magic": MAGIC ^ 1 << 31, "version": 0, "layers": 255, "runs": 0}, Error.BAD_MAGIC),
    ({"version": VERSION + 1}, Error.BAD_GEOMETRY),
    ({"rows": 8}, Error.BAD_GEOMETRY),
    ({"cols": 8}, Error.BAD_GEOMETRY),
    ({"bytes_per_beat": 16}, Error.BAD_GEOMETRY),
    ({"suite": 0}, Error.BAD_GEOMETRY),
    ({"suite": 2, "layers": 255, "runs": 0}, Error.BAD_GEOMETRY),
    ({"dense": 0}, Error.BAD_GEOMETRY),
    ({"layers": CONFIG.program_words // WORDS + 1}, Error.TOO_LARGE),
    ({"layers": 255}, Error.TOO_LARGE),
    ({"activation_words": CONFIG.activation_words + 1}, Error.TOO_LARGE),
    ({"activation_words": 1 << 16}, Error.TOO_LARGE),
    ({"accumulators": CONFIG.accumulators + 1}, Error.TOO_LARGE),
    ({"ifmap_beats": CONFIG.ifmap_bytes // CONFIG.rows + 1, "runs": 0}, Error.TOO_LARGE),
    *(
        ({name: 0}, Error.BAD_DESCRIPTOR)
        for name in ("layers", "batch", "parameter_beats", "ifmap_beats", "run_bytes", "runs", "windows_x", "windows_y")
    ),
]


@pytest.mark.parametrize(
    ("config", "fields", "error"),
    [
        *((config, *case) for config in (CONFIG, SHORT) for case in WRONG_HEADERS),
        (GAPS, {"dense": 1}, Error.BAD_GEOMETRY),
    ],
    ids=lambda value: left_out(value) if isinstance(value, Config) else getattr(value, "name", str(value)),
)
def test_each_rule_of_the_header_has_its_error(fields, error, config, rng):
    """Told with the second word after the header; the program is not loaded, and the next one is taken."""
    dut = LoadablePort(config)
    host = Host(dut)

    async def testbench(ctx):
        await host.load(ctx)
        start = host.now
        data = header_of(config, **fields).pack() + bytes(CONFIG.bytes_per_beat)
        await send(ctx, dut.head, beats_of(CONFIG, data)[:-1])
        ctx.set(dut.head.valid, 1)
        await ctx.tick().until(dut.control.error.any())
        # with the second word behind it; the check may have begun with it while the first is on its way
        if config.pipeline_registers:
            assert host.cycles == [start + steps_of(header_of(config, **fields)) + WORDS + 3]
        assert host.errors == [error]
        await host.takes_nothing(ctx)
        await host.stop(ctx)
        await host.loads(ctx, config, head_of(rng, config, 4))
        assert host.errors == [error]

    simulate(dut, testbench, background=[host.watch])


WRONG_PROGRAMS = {
    "rule": {"out_h": CONFIG.accumulators + 1},
    "rule of the last word": {"last_columns": CONFIG.cols + 1},
    "incomplete": {"to_stream": 0},
}


@pytest.mark.parametrize("config", [CONFIG, SHORT], ids=["registers", "no registers"])
@pytest.mark.parametrize("fields", WRONG_PROGRAMS.values(), ids=WRONG_PROGRAMS)
def test_what_the_program_breaks_is_told_at_its_end(fields, config, rng):
    """Whether it is trusted or not: the golden device looks at the tag after the rules, too."""
    dut = LoadablePort(config)
    host = Host(dut)
    right = head_of(rng, config, 1)
    program = replace(Descriptor.unpack(right[4 * WORDS :]), **fields)

    async def testbench(ctx):
        for trusted in (0, 1):
            ctx.set(dut.trusted, trusted)
            await host.load(ctx)
            await send(ctx, dut.head, beats_of(config, right[: 4 * WORDS] + program.pack()))
            assert host.errors == [] and host.state(ctx) == "loading"
            await ctx.tick().repeat(1 + behind(config))
            assert host.errors == [Error.BAD_DESCRIPTOR]
            await host.takes_nothing(ctx)
            await host.stop(ctx)
            ctx.set(dut.trusted, 1)
            await host.loads(ctx, config, right)
            host.errors.clear()

    simulate(dut, testbench, background=[host.watch])


def test_a_program_that_is_forgotten_is_loaded_no_more(rng):
    """From the next cycle on, also if it would have become loaded then."""
    dut = LoadablePort(CONFIG)
    host = Host(dut)
    head = head_of(rng, CONFIG, 1)

    async def testbench(ctx):
        await host.loads(ctx, CONFIG, head)
        await host.pulse(ctx, dut.control.forget)
        assert host.state(ctx) == "empty"
        await host.load(ctx)
        ctx.set(dut.trusted, 0)
        await send(ctx, dut.head, beats_of(CONFIG, head))
        await ctx.tick().repeat(1 + behind(CONFIG))
        ctx.set(dut.trusted, 1)
        await host.pulse(ctx, dut.control.forget)
        assert host.state(ctx) == "empty"
        await host.loads(ctx, CONFIG, head)

    simulate(dut, testbench, background=[host.watch])


@pytest.mark.parametrize("how", ["stop", "reset"])
@pytest.mark.parametrize("config", [config_of(16), SHORT], ids=["16 registers", "8 no registers"])
def test_stop_and_reset_at_any_point_of_the_head_unload_and_the_next_load_begins_anew(config, how, rng):
    """Also in the middle of a beat, or of the check of a word, or while the head waits for its tag."""
    dut = LoadablePort(config)
    host = Host(dut)
    reset = Signal()
    head = head_of(rng, config, 1)
    cycles = sum(map(steps_of, records_of(head))) + 10

    async def testbench(ctx):
        for number in range(1, cycles, 3):
            ctx.set(dut.trusted, 0)
            await host.load(ctx)
            ctx.set(dut.head.valid, 1)
            beats = iter(beats_of(config, head))
            ctx.set(dut.head.payload, next(beats))
            for _ in range(number):
                taken = ctx.get(dut.head.ready)
                await ctx.tick()
                if taken:
                    beat = next(beats, None)
                    ctx.set(dut.head.payload, beat or {})
                    ctx.set(dut.head.valid, beat is not None)
            ctx.set(dut.head.valid, 0)
            assert host.state(ctx) == "loading"
            await host.pulse(ctx, reset if how == "reset" else dut.stop)
            ctx.set(dut.trusted, 1)
            await ctx.tick().repeat(3)
            assert host.state(ctx) == "empty"
            await host.loads(ctx, config, head)
            await host.pulse(ctx, reset if how == "reset" else dut.stop)
            assert host.state(ctx) == ("empty" if how == "reset" else "loaded")

    simulate(ResetInserter(reset)(dut), testbench, background=[host.watch])
    assert host.errors == []
