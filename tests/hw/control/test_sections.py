from functools import partial
from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.basics.bundles import Part
from deeplock.hw.control.sections import Sections
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.registers import Error
from tests.hw.loadable_tools import header_of
from tests.hw.stream_tools import check_stable, receive, send, simulate

SMALL_PARTS = {
    **{(suite, size): (0, 0) for suite in ("plain", "deep-lock") for size in (4, 8, 16)},
    **{("acorn", 4): (4, 4), ("acorn", 8): (2, 4), ("acorn", 16): (1, 4)},
    **{("ascon", 4): (4, 4), ("ascon", 8): (2, 2), ("ascon", 16): (1, 1)},
    **{("tinyjambu", 4): (3, 2), ("tinyjambu", 8): (2, 2), ("tinyjambu", 16): (1, 2)},
}
"""Beats of nonce and tag, by suite and bytes of a beat. Nonces have 16 bytes, TinyJAMBU's 12; tags 16 bytes, TinyJAMBU's 8.
There is a tag for each 4 bytes of a beat; Ascon has one for all."""
MODEL_KEY = 16
"""Bytes of a licence's model key. In front of it are a nonce, terms as long as a header, and a tag; behind it is a tag more."""


def config_of(suite: str, size: int, licences: bool = False) -> Config:
    return Config(rows=4, cols=16, bytes_per_beat=size, suite=suite, licences=licences)


PLAIN = [config_of(*which) for which in SMALL_PARTS]
LICENSED = [config_of(*which, licences=True) for which, parts in SMALL_PARTS.items() if any(parts)]


def named(*configs: Config) -> pytest.MarkDecorator:
    names = [f"{each.suite}-{each.bytes_per_beat}{'-licences' * each.licences}" for each in configs]
    return pytest.mark.parametrize("config", configs, ids=names)


some = named(
    *(config_of(*which) for which in (("deep-lock", 8), ("acorn", 8), ("ascon", 16), ("tinyjambu", 4))),
    *(config_of(*which, licences=True) for which in (("acorn", 16), ("ascon", 16), ("tinyjambu", 8))),
)

Beat = tuple[Part, int, bool, bool]
"""Part, data, whether it is the part's last one, and of a licence."""


def part_of(dice: Random, part: Part, beats: int, of_licence: bool = False) -> list[Beat]:
    return [(part, dice.randrange(1 << 32), number == beats - 1, of_licence) for number in range(beats)]


WAIT = 257
"""Cycles after which a packet that ends in the head is told."""


class Stream:
    """The packets of a loadable for several runs, each of so many inferences, and what must leave of them. With licences, one
    comes first."""

    def __init__(self, dice: Random, config: Config, layers: int, parameters: int, runs: tuple[int, ...]):
        size = config.bytes_per_beat
        nonce, tag = SMALL_PARTS[config.suite, size]
        record = 64 // size
        self.header = header_of(config, layers=layers, parameter_beats=parameters)
        self.runs = runs
        self.beats: list[Beat] = []
        if config.licences:
            licence = {Part.NONCE: nonce, Part.HEAD: record, Part.TAG: tag, Part.PARAMETERS: MODEL_KEY // size}
            for part in (Part.NONCE, Part.HEAD, Part.TAG, Part.PARAMETERS, Part.TAG):
                self.beats += part_of(dice, part, licence[part], of_licence=True)
        self.known = len(self.beats) + nonce + record - 1  # so many beats, and all words that matter are there
        self.beats += part_of(dice, Part.NONCE, nonce) + part_of(dice, Part.HEAD, record * (1 + layers))
        self.beats += part_of(dice, Part.TAG, tag)
        self.head = len(self.beats)
        ends, self.idle = [], {0, self.head}  # positions: packets end before, no part is expected at
        for count in runs:
            for _ in range(count):
                self.beats += part_of(dice, Part.PARAMETERS, parameters) + part_of(dice, Part.TAG, tag)
                ends.append(len(self.beats))
            self.idle.add(len(self.beats))
        self.inlet = [{"data": beat[1], "last": int(number in ends)} for number, beat in enumerate(self.beats, 1)]


class Bench:
    """Sections and what surrounds it: registers the header as it comes, and notes what leaves and when."""

    def __init__(self, dut: Sections, config: Config):
        self.dut, self.licences = dut, config.licences
        self.got: list[Beat] = []
        self.cycles: list[int] = []
        self.errors: list[Error] = []
        self.now = self.told_at = 0
        self.stream: Stream | None = None

    async def watch(self, ctx) -> None:
        dut = self.dut
        inlet, outlet = dut.inlet, dut.outlet
        ports = (inlet.valid, inlet.ready, inlet.payload.data, outlet.valid, outlet.ready, outlet.payload)
        async for *_, offered, taken, data, valid, ready, beat, error, stop in ctx.tick().sample(
            *ports, dut.error, dut.stop
        ):
            self.now += 1
            at = len(self.got)
            if offered and taken and not valid and self.stream:  # not passed on
                self.told_at = self.now + (WAIT if at < self.stream.head else 0)
                self.stream = None
            elif not stop:
                assert (offered and taken) == (valid and ready), "a beat leaves in the cycle in which it is taken"
            if error:
                self.errors.append(Error(error))
                assert self.now == self.told_at, (
                    "a wrong beat is told at once, or in the head when that has been checked"
                )
            if self.stream and at not in self.stream.idle:
                assert Part(beat.part) == self.stream.beats[at][0]
                assert not self.licences or beat.of_licence == self.stream.beats[at][3]
            if valid:
                assert offered and beat.data == data and Part(beat.part) == self.stream.beats[at][0]
            if valid and ready:
                self.got.append((Part(beat.part), beat.data, bool(beat.last), self.licences and bool(beat.of_licence)))
                self.cycles.append(self.now)
                if len(self.got) == self.stream.known:
                    for name in Header.layout.fields:
                        ctx.set(dut.header[name], getattr(self.stream.header, name))

    async def load(self, ctx, stream: Stream) -> None:
        ctx.set(self.dut.load, 1)
        await ctx.tick()
        ctx.set(self.dut.load, 0)
        self.got, self.cycles, self.errors, self.stream = [], [], [], stream

    async def left(self, ctx, count: int) -> None:
        while len(self.got) < count:
            await ctx.tick()

    async def run(self, ctx, count: int) -> None:
        ctx.set(self.dut.run.count, count)
        ctx.set(self.dut.run.active, 1)
        await ctx.tick()

    async def stop(self, ctx) -> None:
        """As Control does: the run ends, and one cycle of stop."""
        ctx.set(self.dut.run.active, 0)
        ctx.set(self.dut.stop, 1)
        await ctx.tick()
        ctx.set(self.dut.stop, 0)

    async def takes_nothing(self, ctx) -> None:
        """Whatever is offered."""
        ctx.set(self.dut.inlet.valid, 1)
        for last in (0, 1):
            ctx.set(self.dut.inlet.payload.last, last)
            assert not ctx.get(self.dut.inlet.ready) and not ctx.get(self.dut.outlet.valid)
            assert ctx.get(self.dut.error) == Error.NONE
            await ctx.tick()
        ctx.set(self.dut.inlet.valid, 0)

    async def advance(self, ctx, stream: Stream, at: int) -> None:
        """Load, and run if need be, so that beat `at` comes next. The stream has one run."""
        ctx.set(self.dut.outlet.ready, 1)
        await self.load(ctx, stream)
        await send(ctx, self.dut.inlet, stream.inlet[: min(at, stream.head)])
        if at >= stream.head:
            await self.takes_nothing(ctx)
            await self.run(ctx, *stream.runs)
            await send(ctx, self.dut.inlet, stream.inlet[stream.head : at])
        assert (self.got, self.errors) == (stream.beats[:at], [])

    async def pass_all(self, ctx, stream: Stream) -> None:
        """Load and run; then nothing more is taken."""
        await self.advance(ctx, stream, len(stream.beats))
        await self.takes_nothing(ctx)
        ctx.set(self.dut.run.active, 0)
        await ctx.tick()


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@named(*PLAIN, *LICENSED)
def test_each_part_is_shown_with_its_beats_and_ends_with_last(config, pauses, dice):
    """In the same cycle. A beat a cycle, also from part to part, from a licence to its loadable, and from packet to packet. A
    program runs again without its head, and its licence. Single beats of parameters, too."""
    dut = Sections(config)
    bench = Bench(dut, config)
    streams = [
        Stream(dice, config, dice.randint(1, 3), parameters, dice.choice([(3,), (1, 2), (2, 1)]))
        for parameters in ((1, dice.randint(2, 9)) if config.licences else (1, 2, 3, dice.randint(4, 9)))
    ]
    dice.shuffle(streams)

    async def control(ctx):
        for stream in streams:
            await bench.load(ctx, stream)
            ctx.set(dut.load, 1)  # not heeded in mid-head
            await ctx.tick().repeat(3)
            ctx.set(dut.load, 0)
            starts, at = [0, stream.head], stream.head
            await bench.left(ctx, at)
            for count in stream.runs:
                await ctx.tick().repeat(3)
                assert len(bench.got) == at, "between head and run, whatever comes stays"
                await bench.run(ctx, count)
                at += count * (len(stream.beats) - stream.head) // sum(stream.runs)
                starts.append(at)
                await bench.left(ctx, at)
                ctx.set(dut.run.active, 0)
                await ctx.tick()
            assert (bench.got, bench.errors) == (stream.beats, [])
            if not pauses:
                for begin, end in pairwise(starts):
                    assert bench.cycles[end - 1] - bench.cycles[begin] == end - begin - 1

    async def write(ctx):
        await send(ctx, dut.inlet, (beat for stream in streams for beat in stream.inlet), pauses, Random(dice.random()))

    async def read(ctx):
        await receive(ctx, dut.outlet, sum(len(stream.beats) for stream in streams), pauses, Random(dice.random()))

    simulate(dut, control, write, read, background=[bench.watch, partial(check_stable, stream=dut.outlet)])


@some
def test_a_packet_that_ends_elsewhere_or_goes_on_is_told(config, dice):
    """Wherever it is: at once, or in licence and head 257 cycles later. The beat is taken in the same cycle, whether the outlet
    is ready or not, and not passed on. Then nothing is taken, and after a stop the next stream is right."""
    dut = Sections(config)
    bench = Bench(dut, config)
    stream = Stream(dice, config, 1, 2, (2,))

    async def testbench(ctx):
        for at, beat in enumerate(stream.inlet):
            await bench.advance(ctx, stream, at)
            ctx.set(dut.outlet.ready, at % 2)
            ctx.set(dut.inlet.payload, {**beat, "last": 1 - beat["last"]})
            ctx.set(dut.inlet.valid, 1)
            await ctx.tick()
            ctx.set(dut.inlet.valid, 0)
            if at < stream.head:
                assert bench.errors == []
                await ctx.tick().repeat(WAIT)
            wanted = Error.LOADABLE_TOO_LONG if beat["last"] else Error.LOADABLE_TRUNCATED
            assert (bench.got, bench.errors) == (stream.beats[:at], [wanted])
            bench.stream = None
            ctx.set(dut.outlet.ready, 1)
            await bench.takes_nothing(ctx)
            await bench.stop(ctx)
            await bench.takes_nothing(ctx)
        await bench.pass_all(ctx, stream)

    simulate(dut, testbench, background=[bench.watch], cycles=40_000)


@pytest.mark.parametrize("how", ["stop", "reset"])
@some
def test_stop_and_reset_at_any_beat_leave_nothing(config, how, dice):
    """A beat that is wrong is no error in the cycle of a stop: what an ABORT finds does not stop the port a second time."""
    dut = Sections(config)
    bench = Bench(dut, config)
    reset = Signal()
    stream = Stream(dice, config, 1, 2, (2,))

    async def testbench(ctx):
        for at, beat in enumerate(stream.inlet):
            await bench.advance(ctx, stream, at)
            if how == "stop":
                ctx.set(dut.inlet.payload, {**beat, "last": 1 - beat["last"]})
                ctx.set(dut.inlet.valid, 1)
                await bench.stop(ctx)
            else:
                ctx.set(dut.run.active, 0)
                ctx.set(reset, 1)
                await ctx.tick()
                ctx.set(reset, 0)
            bench.stream = None
            assert bench.errors == []
            await bench.takes_nothing(ctx)
            if at % 3 == 0:
                await bench.pass_all(ctx, Stream(dice, config, 1, dice.randint(1, 3), (1,)))
        await bench.pass_all(ctx, stream)

    simulate(ResetInserter(reset)(dut), testbench, background=[bench.watch], cycles=40_000)


@pytest.mark.parametrize("layers", [0, 1 << 8, 3 << 8, (1 << 8) + 1, (1 << 16) - 1])
def test_a_number_of_layers_that_a_rule_forbids_does_not_end_the_head_before_the_rule_is_told(layers, dice):
    """With the second word behind the header: so golden device and port tell the same error whatever else the header breaks."""
    config = config_of("plain", 4)
    dut = Sections(config)
    bench = Bench(dut, config)
    stream = Stream(dice, config, 2, 1, (1,))
    stream.header = header_of(config, layers=layers)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        await bench.load(ctx, stream)
        await send(ctx, dut.inlet, stream.inlet[:18])
        assert bench.got == stream.beats[:18]

    simulate(dut, testbench, background=[bench.watch], cycles=1_000)
