"""Sealed loadables with and without licences, made by the model, and both ends of a lock that opens them."""

from random import Random
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Const

from deeplock.hw.basics.bundles import Part
from deeplock.pymodel.lock.sealing import SealedSuite
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import to_word

__all__ = ["Beat", "Stream", "Verdicts", "changed", "config_of", "give", "offer", "set_key", "set_ready"]


class Beat(NamedTuple):
    part: Part
    data: int
    last: int
    of_licence: int = 0


def config_of(name: str, beat: int, licences: bool = False) -> Config:
    return Config(rows=4, cols=16, bytes_per_beat=beat, suite=name, licences=licences)


def beats_of(part: Part, data: bytes, beat: int, of_licence: int = 0) -> list[Beat]:
    rows = np.frombuffer(data, np.uint8).reshape(-1, beat)
    return [Beat(part, to_word(row), int(number == len(rows) - 1), of_licence) for number, row in enumerate(rows)]


class Stream:
    """A sealed loadable of `count` inferences, and what the lock makes of it.

    beats    one list for each message: of the head with its nonce, then of each inference's parameters
    plain    (data, last) of each message
    licence  one list for each message of its licence, if there is one: of the terms with their nonce, and of the model key
    terms    (data, last)
    key      that of the key register
    """

    def __init__(
        self, name: str, beat: int, rng: np.random.Generator, count: int, length: int, device_key: bytes | None = None
    ):
        self.key = self.model_key = rng.bytes(16)
        chosen = suite(name)
        assert isinstance(chosen, SealedSuite)
        head, parameters = rng.bytes(16 * 8), rng.bytes(length * beat)
        locked = chosen.lock_loadable(head, parameters, self.model_key, beat)
        end = len(parameters)
        section = beats_of(Part.PARAMETERS, locked.parameters[:end], beat)
        section += beats_of(Part.TAG, locked.parameters[end:], beat)
        self.beats = [
            beats_of(Part.NONCE, locked.nonce, beat)
            + beats_of(Part.HEAD, head, beat)
            + beats_of(Part.TAG, locked.head_tag, beat),
            *[section] * count,
        ]
        opened = beats_of(Part.PARAMETERS, parameters, beat)
        self.plain = [[beat[1:3] for beat in beats] for beats in (beats_of(Part.HEAD, head, beat), *[opened] * count)]
        self.licence: list[list[Beat]] = []
        if device_key is None:
            return
        self.key, terms = device_key, rng.bytes(64)
        wrapped = chosen.wrap(terms, self.model_key, device_key, beat)
        self.terms = [each[1:3] for each in beats_of(Part.HEAD, terms, beat)]
        self.licence = [
            beats_of(Part.NONCE, wrapped.nonce, beat, 1)
            + beats_of(Part.HEAD, terms, beat, 1)
            + beats_of(Part.TAG, wrapped.head_tag, beat, 1),
            beats_of(Part.PARAMETERS, wrapped.parameters[:16], beat, 1)
            + beats_of(Part.TAG, wrapped.parameters[16:], beat, 1),
        ]

    @property
    def messages(self) -> list[list[Beat]]:
        return self.licence + self.beats


def changed(beat: Beat, bit: int) -> Beat:
    return beat._replace(data=beat.data ^ 1 << bit)


class Verdicts:
    """What the lock has said so far: "trusted", "right", "wrong" or "unlicensed", with the cycle."""

    def __init__(self, dut):
        self.dut, self.said, self.now = dut, [], 0

    async def watch(self, ctx):
        before = 0
        ports = {name: getattr(self.dut, name, Const(0)) for name in ("trusted", "right", "wrong", "unlicensed")}
        async for *_, trusted, right, wrong, unlicensed in ctx.tick().sample(*ports.values()):
            said = [
                ("trusted", trusted and not before), ("right", right), ("wrong", wrong), ("unlicensed", unlicensed)
            ]  # fmt: skip
            self.said += [(word, self.now) for word, is_said in said if is_said]
            before, self.now = trusted, self.now + 1

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.said]


def offer(ctx, dut, beat: Beat) -> None:
    """Show a beat, with its fields that the lock knows."""
    known = dict(dut.locked.payload.shape())
    ctx.set(dut.locked.payload, {name: value for name, value in beat._asdict().items() if name in known})


async def give(ctx, dut, beats: list[Beat], pauses: float = 0.0, random: Random | None = None) -> None:
    """Send beats."""
    for beat in beats:
        while random is not None and random.random() < pauses:
            await ctx.tick()
        offer(ctx, dut, beat)
        ctx.set(dut.locked.valid, 1)
        await ctx.tick().until(dut.locked.ready)
        ctx.set(dut.locked.valid, 0)


async def set_key(ctx, dut, key: bytes) -> None:
    """At a register's outputs, or with licences as it is written."""
    if "write" not in dut.key.signature.members:
        ctx.set(dut.key.value, int.from_bytes(key, "little"))
        ctx.set(dut.key.size, len(key))
        return
    ctx.set(dut.key.erase, 1)
    await ctx.tick()
    ctx.set(dut.key.erase, 0)
    await ctx.tick().repeat(3)
    ctx.set(dut.key.write, 1)
    for index in range(len(key) // 4):
        ctx.set(dut.key.index, index)
        ctx.set(dut.key.data, int.from_bytes(key[4 * index :][:4], "little"))
        await ctx.tick()
    ctx.set(dut.key.write, 0)


def set_ready(ctx, dut, ready: int = 1) -> None:
    for outlet in (dut.head, dut.plain):
        ctx.set(outlet.ready, ready)
