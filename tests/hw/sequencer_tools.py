"""The sequencer's neighbours, played: what a test tells it, and what it did in which cycle."""

from dataclasses import dataclass, field

from deeplock.hw.basics.layouts import feeder_fields, post_fields
from deeplock.hw.control.sequencer import Sequencer
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.hw.layer_tools import ProgramMemory

FEEDER = [name for name, _ in feeder_fields]
POST = [name for name, _ in post_fields(Config())]
NEVER_ZERO = ("out_w", "out_h", "pool_w", "pool_h", "kernel_w", "kernel_h")


def random_program(rng, layers: int) -> list[Descriptor]:
    """Descriptors with random fields; those that must not be zero are not; the last layer writes the stream."""
    program = []
    for number in range(layers):
        fields = {
            name: int(rng.integers(*field.range, endpoint=True)) for name, field in Descriptor.layout.fields.items()
        }
        fields |= {name: fields[name] or 1 for name in NEVER_ZERO}
        last = number == layers - 1
        fields |= {"wait_input": int(number == 0), "release_input": int(last), "to_stream": int(last), "slack": 0}
        program.append(Descriptor(**fields))
    return program


@dataclass
class Bench:
    """Notes every pulse as (name, cycle, what went with it)."""

    dut: Sequencer
    program: list[Descriptor]
    now: int = 0
    seen: list[tuple] = field(default_factory=list)

    @property
    def memory(self):
        return ProgramMemory(self.dut, b"".join(fields.pack() for fields in self.program)).serve

    async def watch(self, ctx) -> None:
        dut = self.dut
        signals = (
            dut.feeder.start,
            dut.feeder.fields,
            dut.post.start,
            dut.post.fields,
            dut.ifmap.take,
            dut.opens,
        )
        async for *_, start, feeder, post_start, post, take, opens in ctx.tick().sample(*signals):
            if start:
                self.seen.append(("start", self.now, {name: feeder[name] for name in FEEDER}))
            if post_start:
                self.seen.append(("post", self.now, {name: post[name] for name in POST}))
            for name, pulse in (("take", take), ("opens", opens)):
                if pulse:
                    self.seen.append((name, self.now, None))
            self.now += 1

    def cycles(self, name: str) -> list[int]:
        return [cycle for kind, cycle, _ in self.seen if kind == name]

    def fields(self, name: str) -> list[dict[str, int]]:
        return [fields for kind, _, fields in self.seen if kind == name]

    async def run(self, ctx, count: int) -> None:
        ctx.set(self.dut.layers, len(self.program))
        ctx.set(self.dut.run.count, count)
        ctx.set(self.dut.run.active, 1)

    async def pulse(self, ctx, signal) -> int:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)
        return self.now - 1

    async def play_layer(self, ctx, feed: int, drain: int) -> tuple[int, int, int]:
        """From the layer's start on: the feeder takes `feed` cycles, the drain `drain`, 2 or more; the layer's last word enters
        the array in its first cycle. Gives start, done and left."""
        starts = len(self.cycles("start"))
        while len(self.cycles("start")) == starts:
            await ctx.tick()
        start = self.now - 1
        assert ctx.get(self.dut.report.feeding)
        for _ in range(feed - 1):
            await ctx.tick()
        done = await self.pulse(ctx, self.dut.feeder.done)
        assert not ctx.get(self.dut.report.feeding)
        await self.pulse(ctx, self.dut.words_end)
        for _ in range(drain - 2):
            assert not ctx.get(self.dut.report.feeding)
            await ctx.tick()
        if self.cycles("post") and self.cycles("post")[-1] > start:
            number = (len(self.cycles("start")) - 1) % len(self.program)
            assert ctx.get(self.dut.last_layer) == (number == len(self.program) - 1)
        return start, done, await self.pulse(ctx, self.dut.post.done)
