"""What the window feeder must give for a layer, and the memory that it reads."""

from random import Random

import numpy as np

from deeplock.hw.basics.layouts import feeder_fields
from deeplock.hw.feed.activation_memory import read_steps
from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.pymodel.compiler.interpreter import gather_words
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.hw.layer_tools import to_word

__all__ = ["Memory", "check_layers", "expected_words", "parts", "start"]

NAMES = {name for name, _ in feeder_fields}


def expected_words(fields: Descriptor, memory: np.ndarray, config: Config) -> list[tuple]:
    """(data, swap, first, last, final, pixel_last, emits, slides, shift) of every word of a layer, in order.

    memory  int8 [bytes]
    """
    words, pixels, window = [], fields.pixels, fields.window
    groups, kblocks = fields.groups, fields.kernel_w * fields.kernel_h * fields.cblocks
    for group in range(groups):
        blocks = gather_words(memory[None], fields, group, config)[0].reshape(pixels, kblocks, config.rows)
        sides = fields.sides(group)
        for kblock in range(kblocks):
            side = kblock % sides
            for pixel in range(pixels):
                column = pixel % fields.out_w
                slides = fields.sliding > 0 and column % fields.sliding == 0
                emits = slides and column > 0 if fields.sliding else pixel % window == window - 1
                words.append(
                    (
                        to_word(blocks[pixel, kblock]),
                        int(pixel == 0 and side == 0 and (kblock == 0 or not fields.alike)),
                        int(kblock == 0),
                        int(kblock == kblocks - 1),
                        int(group == groups - 1),
                        int(pixel == pixels - 1),
                        int(emits),
                        int(slides),
                        side * (config.cols // sides),
                    )
                )
    return words


def parts(word) -> tuple:
    tag = word.tag
    return (word.data, word.swap, tag.first, tag.last, tag.final, tag.pixel_last, tag.emits, tag.slides, tag.shift)


class Memory:
    """The activation memory's read port: `word` changes after a cycle with `read` and `granted`, and only then. It is the word
    at the address of the read `read_steps` - 1 before.

    refusals   probability that a cycle is not granted
    """

    def __init__(self, rng: np.random.Generator, dut: WindowFeeder, config: Config, refusals: float = 0.0):
        self.rng, self.dut, self.config, self.refusals = rng, dut, config, refusals
        self.data = rng.integers(-128, 128, config.activation_words * config.rows, dtype=np.int8)

    def word(self, address: int) -> int:
        first = address if self.config.dense else address - address % self.config.rows
        return to_word(self.data[(first + np.arange(self.config.rows)) % len(self.data)])

    async def serve(self, ctx) -> None:
        port, inside = self.dut.memory, [0] * (read_steps(self.config) - 1)
        async for *_, read, granted, address in ctx.tick().sample(port.read, port.granted, port.address):
            if read and granted:
                inside.append(address)
                ctx.set(port.word, self.word(inside.pop(0)))
            if self.refusals:
                ctx.set(port.granted, self.rng.random() >= self.refusals)


async def start(ctx, dut: WindowFeeder, fields: Descriptor) -> None:
    ctx.set(dut.layer.fields, {name: getattr(fields, name) for name in NAMES})
    await ctx.tick()
    ctx.set(dut.layer.start, 1)
    await ctx.tick()
    ctx.set(dut.layer.start, 0)


async def check_layers(ctx, memory: Memory, program: list[Descriptor], pauses: float, dice: Random) -> None:
    """Layer after layer, the fields of each in the cycle after the `done` of the one before, whose last words come later."""
    dut, expected, releases = memory.dut, [], set()
    for fields in program:
        expected += expected_words(fields, memory.data, memory.config)
        releases |= {len(expected) - 1} if fields.release_input else set()
    waiting, got, dones = list(program), [], 0
    shown, busy = False, False  # a layer's fields are there; it has started
    while len(got) < len(expected):
        if not busy and not shown:
            any_fields = {name: dice.getrandbits(1) * -1 for name in NAMES}
            fields = {name: getattr(waiting[0], name) for name in NAMES} if waiting else any_fields
            ctx.set(dut.layer.fields, fields)
            shown = True
        elif not busy and waiting:
            ctx.set(dut.layer.start, 1)
            waiting.pop(0)
            busy = True
        else:
            ctx.set(dut.layer.start, 0)
        ready = dice.random() >= pauses
        ctx.set(dut.out.ready, ready)
        taken = ready and ctx.get(dut.out.valid)
        assert ctx.get(dut.release) == (taken and len(got) in releases)
        if taken:
            got.append(parts(ctx.get(dut.out.payload)))
        if ctx.get(dut.layer.done):
            dones += 1
            assert busy
            busy, shown = False, False
        await ctx.tick()
    ctx.set(dut.out.ready, 0)
    assert got == expected, program
    assert dones == len(program)
