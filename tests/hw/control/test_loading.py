"""Sections, lock, loadable port and permissions together, as in an accelerator, against the golden device."""

from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable, ResetInserter
from amaranth.lib.wiring import connect

from deeplock.hw.basics.stream_buffers import StreamRegister
from deeplock.hw.control.loadable_port import LoadablePort
from deeplock.hw.control.permissions import Permissions
from deeplock.hw.control.sections import Sections
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.licence import Licence, Terms, allowed, licence_bytes
from deeplock.pymodel.spec.registers import Error, Status
from tests.hw.layer_tools import to_word
from tests.hw.sealed_tools import set_key
from tests.hw.stream_tools import simulate
from tests.sim import tiny


class Front(Elaboratable):
    def __init__(self, config: Config):
        self.config, self.sections, self.lock = config, Sections(config), lock_of(config)
        self.port = LoadablePort(config)
        self.permissions = Permissions(config) if config.permissions else None

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
            lock.clear.eq(sections.stop),
        ]
        if self.permissions:
            m.submodules.permissions = permissions = self.permissions
            connect(m, lock.terms, permissions.terms)
            m.d.sync += lock.forget.eq(port.control.load | ~(port.control.loading | port.control.loaded))
            m.d.comb += [
                permissions.forget.eq(lock.forget),
                permissions.header.eq(port.header),
                port.refusal.eq(permissions.refusal),
            ]
        return m

    def error(self, ctx) -> Error:
        """Of this cycle."""
        errors = [
            ctx.get(self.sections.error),
            ctx.get(self.port.control.error),
            Error.BAD_TAG * ctx.get(self.lock.wrong),
        ]
        if self.permissions:
            errors.append(Error.BAD_LICENCE * ctx.get(self.lock.unlicensed))
        return Error(next(filter(None, errors), Error.NONE))

    async def told(self, ctx, packet: bytes, pauses: float, dice: Random) -> Error:
        """Load it. The first error, or none if it is loaded; then nothing goes on."""
        control, sections, size = self.port.control, self.sections, self.config.bytes_per_beat
        beats = [to_word(row) for row in np.frombuffer(packet, np.uint8).reshape(-1, size)]
        ctx.set(control.load, 1)
        await ctx.tick()
        ctx.set(control.load, 0)
        at, offers, error = 0, False, Error.NONE
        while not error and not ctx.get(control.loaded):
            offers = at < len(beats) and (offers or dice.random() >= pauses)
            ctx.set(sections.inlet.valid, offers)
            if offers:
                ctx.set(sections.inlet.payload, {"data": beats[at], "last": at == len(beats) - 1})
            error = self.error(ctx)
            taken = offers and ctx.get(sections.inlet.ready)
            await ctx.tick()
            at, offers = at + taken, offers and not taken
        ctx.set(sections.inlet.valid, 0)
        ctx.set(sections.stop, 1)
        await ctx.tick().repeat(2)
        ctx.set(sections.stop, 0)
        return error


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
@pytest.mark.parametrize("size", [4, pytest.param(16, marks=pytest.mark.slow)])
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

    async def testbench(ctx):
        for end in ends:
            device = GoldenDevice(config)
            device.run(stream[:end], [b""], [b""])
            wanted = Error.NONE if device.status() & Status.LOADED else Error(device.status() >> 8)
            assert await dut.told(ctx, stream[:end], pauses, Random(dice.random())) == wanted, f"{end} bytes"

    simulate(dut, testbench)


def flipped(data: bytes, dice: Random, first: int, end: int) -> bytes:
    """With a bit changed of these bytes."""
    changed = bytearray(data)
    changed[dice.randrange(first, end)] ^= 1 << dice.randrange(8)
    return bytes(changed)


LICENCES = {"right": (0, 0), "terms": (16, 80), "no field": (21, 22), "model key": (96, 128), "other model": (0, 0)}
"""First byte and end of what is changed, of a licence of suite ascon: nonce, terms, tag, model key, tag."""


@pytest.mark.parametrize(
    ("registers", "name"),
    [
        pytest.param(*each, marks=[] if each in ((True, "right"), (False, "no field")) else pytest.mark.slow)
        for each in product((True, False), LICENCES)
    ],
)
def test_wherever_a_packet_with_a_licence_ends_the_error_is_the_golden_devices(registers, name, dice):
    """In the licence or behind it, whatever it holds. What is loaded after a packet that ended early has its own terms."""
    config = Config(
        rows=4, cols=16, bytes_per_beat=8, suite="ascon", licences=True, permissions=True, pipeline_registers=registers
    )
    device_key = dice.randbytes(16)
    loadable = tiny.tiny_loadable(config)
    first, last = LICENCES[name]
    dut = Front(config)
    assert dut.permissions
    classes = dut.permissions.classes

    def licensed() -> tuple[Terms, bytes]:
        """Terms that allow some outputs, and what enters under them."""
        mask = {half: dice.getrandbits(32) for half in ("classes_low", "classes_high")}
        terms = replace(allowed([], loadable.header, dice.getrandbits(64)), **mask)
        if name == "other model":
            terms = replace(terms, model_high=terms.model_high ^ 1)
        licence = Licence.issued(terms, tiny.KEY, device_key).stream
        return terms, (flipped(licence, dice, first, last) if last else licence) + loadable.head

    length, ifmap = licence_bytes("ascon", 8), loadable.pack_ifmap(tiny.ifmaps(1)[0])
    ends = [*range(8, length + 24, 8), length + 16 + 64, length + len(loadable.head)]

    async def testbench(ctx):
        await set_key(ctx, dut.lock, device_key)
        for end in [*dice.sample(ends, 5), length + 8]:
            for whole in (False, True):
                terms, head = licensed()
                head, parameters = (head, loadable.parameters) if whole else (head[:end], b"")
                device = GoldenDevice(config)
                device.load_key(device_key)
                wanted = device.run(head, [parameters], [ifmap]).error
                pauses = dice.choice((0.0, 0.5))
                found = await dut.told(ctx, head + parameters, pauses, Random(dice.random()))
                assert found == wanted, f"{len(head + parameters)} bytes"
                assert wanted or ctx.get(classes) == terms.classes

    simulate(dut, testbench)
