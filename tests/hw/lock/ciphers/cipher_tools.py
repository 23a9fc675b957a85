"""The ciphers in hardware, with their models and the cycles that their docstrings state, and how to drive one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np
from amaranth.lib.wiring import Component
from amaranth.sim import SimulatorContext

from deeplock.hw.lock.ciphers.acorn import Acorn
from deeplock.hw.lock.ciphers.ascon import Ascon
from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from deeplock.pymodel.lock.ciphers import acorn, ascon, tinyjambu

__all__ = ["CIPHERS", "Cipher", "Message", "begin", "until_done", "words"]


@dataclass(frozen=True)
class Cipher:
    """Cycles are of a message that is absorbed, or opened.

    size    bytes of a word
    at      (absorbed, number) -> cycle in which this word is taken, from `start` on; the first word is number 0
    ends    (absorbed, words) -> cycles from the last word to `done`
    """

    name: str
    make: Callable[[], Component]
    model: ModuleType
    size: int
    at: Callable[[int, int], int]
    ends: Callable[[int, int], int]

    def __str__(self) -> str:
        return self.name


def _tinyjambu(steps: int) -> Cipher:
    def at(absorb: int, number: int) -> int:
        return 1 + (3584 + 640 * number if absorb else 3968 + 1024 * number) // steps

    return Cipher(f"tinyjambu-{steps}", partial(TinyJambu, steps), tinyjambu, 4, at, lambda *_: 1664 // steps)


def _ascon(size: int) -> Cipher:
    words = 16 // size  # of a block

    def at(absorb: int, number: int) -> int:
        return 14 + number % words + number // words * (7 + words)

    def ends(absorb: int, count: int) -> int:
        return (13 if count % words else 20) + 8 * absorb

    return Cipher(f"ascon-{size}", partial(Ascon, size), ascon, size, at, ends)


CIPHERS = [
    Cipher(
        "acorn", Acorn, acorn, 4, lambda absorb, number: 66 - 8 * absorb + number, lambda absorb, _: 33 + 8 * absorb
    ),
    *map(_tinyjambu, (32, 64, 128)),
    *map(_ascon, (4, 8, 16)),
]


@dataclass(frozen=True)
class Message:
    """taken, given   its words as (data, last): as they go in, and as they come out"""

    key: bytes
    nonce: bytes
    absorb: int
    taken: list[tuple[int, int]]
    given: list[tuple[int, int]]
    tag: bytes

    @classmethod
    def sealed(cls, cipher: Cipher, key: bytes, nonce: bytes, absorb: int, plain: bytes) -> "Message":
        """With the model's ciphertext and tag."""
        sealed, tag = cipher.model.seal(key, nonce, plain if absorb else b"", b"" if absorb else plain)
        return cls(key, nonce, absorb, words(plain if absorb else sealed, cipher.size), words(plain, cipher.size), tag)

    @classmethod
    def draw(cls, cipher: Cipher, rng: np.random.Generator, absorb: int, count: int) -> "Message":
        """A random one of `count` words."""
        return cls.sealed(
            cipher, rng.bytes(16), rng.bytes(cipher.model.NONCE_BYTES), absorb, rng.bytes(cipher.size * count)
        )

    @property
    def beats(self) -> Iterator[dict[str, int]]:
        return ({"data": data, "last": last} for data, last in self.taken)


def words(data: bytes, size: int) -> list[tuple[int, int]]:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [(int.from_bytes(part, "little"), int(number == len(parts) - 1)) for number, part in enumerate(parts)]


async def begin(ctx: SimulatorContext, dut: Component, message: Message) -> None:
    """Pulse `start`. What a nonce lacks are ones, which the cipher must ignore."""
    ctx.set(dut.key, int.from_bytes(message.key, "little"))
    ctx.set(dut.nonce, int.from_bytes(message.nonce.ljust(16, b"\xff"), "little"))
    ctx.set(dut.absorb, message.absorb)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


async def until_done(ctx: SimulatorContext, dut: Component) -> bytes:
    """Wait for `done`: the tag."""
    while not ctx.get(dut.done):
        await ctx.tick()
    return ctx.get(dut.tag).to_bytes(len(dut.tag) // 8, "little")
