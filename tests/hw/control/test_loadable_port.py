from dataclasses import replace
from functools import partial
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
from tests.hw.stream_tools import check_stable, receive, send, simulate

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


def beats_of(config: Config, data: bytes, last: bool) -> list[dict[str, int]]:
    """One packet, or its beginning."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, config.bytes_per_beat)
    return [{"data": to_word(row), "last": int(last and number == len(rows) - 1)} for number, row in enumerate(rows)]


class Host:
    """Watches the program port and the error pulses, and drives the commands."""

    def __init__(self, dut: LoadablePort):
        self.dut = dut
        self.program: dict[int, int] = {}
        self.errors: list[Error] = []
        self.cycles: list[int] = []
        self.now = 0

    async def watch(self, ctx) -> None:
        port = self.dut.program
        async for *_, en, address, word, error in ctx.tick().sample(
            port.en, port.addr, port.data, self.dut.control.error
        ):
            if en:
                self.program[address] = word
            if error:
                self.errors.append(Error(error))
                self.cycles.append(self.now)
            self.now += 1

    async def load(self, ctx) -> None:
        ctx.set(self.dut.control.load, 1)
        await ctx.tick()
        ctx.set(self.dut.control.load, 0)
        assert ctx.get(self.dut.control.loading) and not ctx.get(self.dut.control.loaded)

    async def stop(self, ctx) -> None:
        """As Control does after an error: the run ends, and one cycle of stop."""
        ctx.set(self.dut.run.active, 0)
        ctx.set(self.dut.stop, 1)
        await ctx.tick()
        ctx.set(self.dut.stop, 0)


async def loaded(ctx, dut: LoadablePort) -> None:
    """A head has been sent: it is right."""
    await ctx.tick().repeat(3)
    assert ctx.get(dut.control.loaded)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_header_program_and_parameters_of_several_sections(bytes_per_beat, pauses, rng, dice):
    """Header, program and first section are one packet, each further section is one; then the port takes nothing."""
    config, count = config_of(bytes_per_beat), 3
    dut = LoadablePort(config)
    host = Host(dut)
    header = header_of(config)
    head = header.pack() + program_of(rng, header.layers)
    sections = [rng.bytes(header.parameter_beats * bytes_per_beat) for _ in range(count)]
    beats = beats_of(config, head + sections[0], True)
    for section in sections[1:]:
        beats += beats_of(config, section, True)
    parameters = [beat for section in sections for beat in beats_of(config, section, True)]

    async def testbench(ctx):
        await host.load(ctx)
        ctx.set(dut.control.load, 1)  # not heeded by a port that is loading
        await ctx.tick().repeat(3)
        ctx.set(dut.control.load, 0)
        await ctx.tick().until(dut.control.loaded)
        assert not ctx.get(dut.control.loading)
        got = ctx.get(dut.header)
        assert Header(**{name: got[name] for name in Header.layout.fields}) == header
        ctx.set(dut.run.count, count)
        ctx.set(dut.run.active, 1)
        got = await receive(ctx, dut.parameters, len(parameters), pauses, Random(dice.random()))
        assert [{"data": beat.data, "last": beat.last} for beat in got] == parameters
        ctx.set(dut.parameters.ready, 1)
        ctx.set(dut.loadable.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.loadable.ready) and not ctx.get(dut.parameters.valid)
            await ctx.tick()

    async def write(ctx):
        await ctx.tick().until(dut.control.loading)
        await send(ctx, dut.loadable, beats, pauses, Random(dice.random()))

    simulate(dut, testbench, write, background=[host.watch, partial(check_stable, stream=dut.parameters)])
    words = np.frombuffer(head[4 * WORDS :], "<u4").tolist()
    assert host.program == dict(enumerate(words))
    assert host.errors == []


@pytest.mark.parametrize("bytes_per_beat", BEATS)
@pytest.mark.parametrize("registers", [False, True])
def test_a_head_takes_as_long_as_its_check_and_parameters_pass_in_the_same_cycle(registers, bytes_per_beat, rng):
    config = replace(config_of(bytes_per_beat), pipeline_registers=registers)
    dut = LoadablePort(config)
    host = Host(dut)
    data = header_of(config, layers=2).pack() + program_of(rng, 2)
    head = beats_of(config, data, False)

    async def testbench(ctx):
        await host.load(ctx)
        start = host.now
        await send(ctx, dut.loadable, head)
        await ctx.tick().until(dut.control.loaded)
        assert host.now - start == sum(map(steps_of, records_of(data))) + 2 + registers * len(data) // 4
        ctx.set(dut.run.count, 1)
        ctx.set(dut.run.active, 1)
        await ctx.tick()
        ctx.set(dut.parameters.ready, 1)
        beats = header_of(config).parameter_beats
        for number in range(beats):
            ctx.set(dut.loadable.valid, 1)
            ctx.set(dut.loadable.payload, {"data": number, "last": number == beats - 1})
            assert ctx.get(dut.loadable.ready) and ctx.get(dut.parameters.valid)
            assert ctx.get(dut.parameters.payload.data) == number
            assert ctx.get(dut.parameters.payload.last) == (number == beats - 1)
            await ctx.tick()

    simulate(dut, testbench, background=[host.watch])
    assert host.errors == []


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
    right = beats_of(config, header_of(config).pack() + program_of(rng, 4), False)

    async def testbench(ctx):
        await host.load(ctx)
        start = host.now
        data = header_of(config, **fields).pack() + bytes(CONFIG.bytes_per_beat)
        await send(ctx, dut.loadable, beats_of(CONFIG, data, False)[:-1])
        ctx.set(dut.loadable.valid, 1)
        await ctx.tick().until(dut.control.error.any())
        ctx.set(dut.loadable.valid, 0)
        # with the second word behind it; the check may have begun with it while the first is on its way
        if config.pipeline_registers:
            assert host.cycles == [start + steps_of(header_of(config, **fields)) + WORDS + 2]
        assert host.errors == [error]
        assert not ctx.get(dut.control.loaded) and not ctx.get(dut.control.loading) and not ctx.get(dut.loadable.ready)
        await host.stop(ctx)
        await host.load(ctx)
        await send(ctx, dut.loadable, right)
        await loaded(ctx, dut)
        assert host.errors == [error]

    simulate(dut, testbench, background=[host.watch])


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_a_head_that_ends_too_early_is_truncated_wherever_it_ends(bytes_per_beat, rng):
    """Also with its own last beat, since parameters must follow."""
    config = config_of(bytes_per_beat)
    dut = LoadablePort(config)
    host = Host(dut)
    head = header_of(config, layers=1).pack() + program_of(rng, 1)

    async def testbench(ctx):
        for beats in range(1, len(head) // bytes_per_beat + 1):
            await host.load(ctx)
            await send(ctx, dut.loadable, beats_of(config, head[: beats * bytes_per_beat], True))
            assert host.errors == [Error.LOADABLE_TRUNCATED] * beats
            assert not ctx.get(dut.control.loaded) and not ctx.get(dut.control.loading)
            await host.stop(ctx)
        await host.load(ctx)
        await send(ctx, dut.loadable, beats_of(config, head, False))
        await loaded(ctx, dut)

    simulate(dut, testbench, background=[host.watch])


@pytest.mark.parametrize("section", [0, 1])
@pytest.mark.parametrize("ends_at", [0, 3, 4, None])
@pytest.mark.parametrize("ready", [0, 1])
def test_parameters_that_end_too_early_or_not_at_all(ready, ends_at, section, rng):
    """A beat that is wrong is told of and taken whether the lock is ready or not, so that the packet gate knows its packet.
    The program stays loaded, and after a stop the next run is right."""
    dut = LoadablePort(CONFIG)
    host = Host(dut)
    head = header_of(CONFIG).pack() + program_of(rng, 4)
    good = beats_of(CONFIG, rng.bytes(header_of(CONFIG).parameter_beats * CONFIG.bytes_per_beat), True)
    bad = [{**beat, "last": int(number == ends_at)} for number, beat in enumerate(good)]

    async def testbench(ctx):
        ctx.set(dut.parameters.ready, 1)
        ctx.set(dut.run.count, 2)
        await host.load(ctx)
        await send(ctx, dut.loadable, beats_of(CONFIG, head, False))
        await loaded(ctx, dut)
        ctx.set(dut.run.active, 1)
        right = section * len(good) + (len(bad) - 1 if ends_at is None else ends_at)
        for number, beat in enumerate(good * section + bad):
            if number == right:
                ctx.set(dut.parameters.ready, ready)
            assert not host.errors
            await send(ctx, dut.loadable, [beat])
            if number == right:
                break
        ctx.set(dut.parameters.ready, 1)
        assert host.errors == [Error.LOADABLE_TOO_LONG if ends_at is None else Error.LOADABLE_TRUNCATED]
        assert not ctx.get(dut.loadable.ready)
        assert ctx.get(dut.control.loaded)
        await host.stop(ctx)
        ctx.set(dut.run.active, 1)
        await send(ctx, dut.loadable, good * 2)
        assert len(host.errors) == 1
        ctx.set(dut.run.active, 0)
        await ctx.tick().repeat(2)
        ctx.set(dut.run.count, 1)
        ctx.set(dut.run.active, 1)
        await send(ctx, dut.loadable, good)
        assert len(host.errors) == 1

    simulate(dut, testbench, background=[host.watch])


def test_a_beat_that_is_wrong_is_no_error_in_the_cycle_of_a_stop(rng):
    """So that what an ABORT finds does not stop the port a second time."""
    dut = LoadablePort(CONFIG)
    host = Host(dut)
    head = header_of(CONFIG).pack() + program_of(rng, 4)

    async def testbench(ctx):
        ctx.set(dut.run.count, 1)
        await host.load(ctx)
        await send(ctx, dut.loadable, beats_of(CONFIG, head, False))
        await loaded(ctx, dut)
        ctx.set(dut.run.active, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.loadable.payload, {"data": 0, "last": 1})
        ctx.set(dut.loadable.valid, 1)
        await host.stop(ctx)
        await ctx.tick()
        assert host.errors == []

    simulate(dut, testbench, background=[host.watch])


def test_nothing_is_taken_while_idle():
    dut = LoadablePort(CONFIG)

    async def testbench(ctx):
        ctx.set(dut.loadable.valid, 1)
        ctx.set(dut.parameters.ready, 1)
        for _ in range(3):
            assert not ctx.get(dut.loadable.ready) and not ctx.get(dut.parameters.valid)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", range(1, 3 * WORDS, 5))
def test_stop_in_the_middle_of_the_head_unloads_and_the_next_load_begins_anew(cycles, rng):
    """Also in the middle of a beat, or of the check of a word."""
    config = config_of(16)
    dut = LoadablePort(config)
    host = Host(dut)
    head = header_of(config, layers=1).pack() + program_of(rng, 1)

    async def testbench(ctx):
        for _ in range(2):
            await host.load(ctx)
            ctx.set(dut.loadable.valid, 1)
            beats = iter(beats_of(config, head, False))
            ctx.set(dut.loadable.payload, next(beats))
            for _ in range(cycles):
                taken = ctx.get(dut.loadable.ready)
                await ctx.tick()
                if taken:
                    ctx.set(dut.loadable.payload, next(beats))
            ctx.set(dut.loadable.valid, 0)
            await host.stop(ctx)
            assert not ctx.get(dut.control.loaded) and not ctx.get(dut.control.loading)
            host.program.clear()
            await host.load(ctx)
            await send(ctx, dut.loadable, beats_of(config, head, False))
            await loaded(ctx, dut)
            assert host.program == dict(enumerate(np.frombuffer(head, "<u4")[WORDS:].tolist()))

    simulate(dut, testbench, background=[host.watch])
    assert host.errors == []


def test_reset_in_the_middle_of_the_parameters(rng):
    dut = LoadablePort(CONFIG)
    host = Host(dut)
    reset = Signal()
    head = beats_of(CONFIG, header_of(CONFIG).pack() + program_of(rng, 4), False)
    section = beats_of(CONFIG, rng.bytes(header_of(CONFIG).parameter_beats * CONFIG.bytes_per_beat), True)

    async def testbench(ctx):
        ctx.set(dut.parameters.ready, 1)
        ctx.set(dut.run.count, 1)
        for number in (3, 6):
            await host.load(ctx)
            await send(ctx, dut.loadable, head)
            await loaded(ctx, dut)
            ctx.set(dut.run.active, 1)
            await send(ctx, dut.loadable, section[:number])
            ctx.set(dut.run.active, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.control.loaded)

    simulate(ResetInserter(reset)(dut), testbench, background=[host.watch])
    assert host.errors == []
