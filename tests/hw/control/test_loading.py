"""Sections, suite `plain` and loadable port together, as in an accelerator, against the golden device."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable, ResetInserter
from amaranth.lib.wiring import connect

from deeplock.hw.basics.stream_buffers import StreamRegister
from deeplock.hw.control.loadable_port import LoadablePort
from deeplock.hw.control.sections import Sections
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Error, Status
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import simulate
from tests.sim import tiny


class Front(Elaboratable):
    def __init__(self, config: Config):
        self.config, self.sections, self.lock = config, Sections(config), lock_of(config)
        self.port = LoadablePort(config)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sections, m.submodules.port = sections, port = self.sections, self.port
        m.submodules.lock = lock = self.lock
        connect(m, lock.head, port.head)
        inlet = lock.locked
        if self.config.pipeline_registers:
            register = StreamRegister(inlet.payload.shape())
            m.submodules.register = ResetInserter(sections.stop)(register)
            connect(m, register.outlet, inlet)
            inlet = register.inlet
        connect(m, sections.outlet, inlet)
        m.d.comb += [
            sections.load.eq(port.control.load),
            sections.header.eq(port.header),
            port.stop.eq(sections.stop),
            port.trusted.eq(lock.trusted),
        ]
        return m


HEADS = {
    "right": ({}, {}),
    "magic": ({"magic": 1}, {}),
    "size": ({"accumulators": 4096}, {}),
    "no layers": ({"layers": 0}, {}),
    "no layers, magic": ({"layers": 0, "magic": 1}, {}),
    "descriptor": ({}, {"opcode": 2}),
}


@pytest.mark.parametrize("pauses", [0.0, 0.6])
@pytest.mark.parametrize("registers", [True, False], ids=["registers", "no registers"])
@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize(("header", "last"), HEADS.values(), ids=HEADS)
def test_wherever_a_packet_ends_the_error_is_the_golden_devices(header, last, size, registers, pauses, dice):
    """Whatever else is wrong, and however fast the beats come."""
    config = Config(rows=4, cols=16, bytes_per_beat=size, suite="plain", pipeline_registers=registers)
    loadable = tiny.tiny_loadable(config)
    *others, ending = loadable.program
    program = [*others, replace(ending, **last)]
    head = replace(loadable.header, **header).pack() + b"".join(layer.pack() for layer in program)
    stream = head + loadable.parameters[: 4 * size]
    ends = [end for end in range(size, len(stream) + 1, size) if 48 <= end <= 128 or end >= len(head) - 2 * size]
    dut = Front(config)
    control, sections = dut.port.control, dut.sections

    async def told(ctx, packet: bytes, dice: Random) -> Error:
        """The first error, or none if it is loaded."""
        beats = [to_word(row) for row in np.frombuffer(packet, np.uint8).reshape(-1, size)]
        ctx.set(control.load, 1)
        await ctx.tick()
        ctx.set(control.load, 0)
        at, offers = 0, False
        while not ctx.get(control.loaded):
            offers = at < len(beats) and (offers or dice.random() >= pauses)
            ctx.set(sections.inlet.valid, offers)
            if offers:
                ctx.set(sections.inlet.payload, {"data": beats[at], "last": at == len(beats) - 1})
            error = ctx.get(control.error) or ctx.get(sections.error)
            if error:
                return Error(error)
            taken = offers and ctx.get(sections.inlet.ready)
            await ctx.tick()
            at, offers = at + taken, offers and not taken
        return Error.NONE

    async def testbench(ctx):
        for end in ends:
            device = GoldenDevice(config)
            device.run(stream[:end], [b""], [b""])
            wanted = Error.NONE if device.status() & Status.LOADED else Error(device.status() >> 8)
            assert await told(ctx, stream[:end], Random(dice.random())) == wanted, f"{end} bytes"
            ctx.set(sections.inlet.valid, 0)
            ctx.set(sections.stop, 1)
            await ctx.tick().repeat(2)
            ctx.set(sections.stop, 0)

    simulate(dut, testbench)
