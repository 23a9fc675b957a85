"""The ciphers in hardware, with their models and the cycles that their docstrings state, and how to drive one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np
from amaranth.lib.wiring import Component
from amaranth.sim import SimulatorContext

from deeplock.hw.lock.ciphers.acorn import Acorn
from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from deeplock.pymodel.lock.ciphers import acorn, tinyjambu

__all__ = ["CIPHERS", "Cipher", "Message", "begin", "until_done"]


@dataclass(frozen=True)
class Cipher:
    """Cycles, of a message that is opened and of one that is absorbed.

    ready   from `start` to the first word that is taken
    word    from one word to the next
    done    from the last word to `done`
    """

    name: str
    make: Callable[[], Component]
    model: ModuleType
    ready: tuple[int, int]
    word: tuple[int, int]
    done: tuple[int, int]

    def __str__(self) -> str:
        return self.name


def _tinyjambu(steps: int) -> Cipher:
    ready, word, done = (1 + 3968 // steps, 1 + 3584 // steps), (1024 // steps, 640 // steps), 1664 // steps
    return Cipher(f"tinyjambu-{steps}", partial(TinyJambu, steps), tinyjambu, ready, word, (done, done))


CIPHERS = [Cipher("acorn", Acorn, acorn, (66, 58), (1, 1), (33, 41)), *map(_tinyjambu, (32, 64, 128))]


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
        return cls(key, nonce, absorb, words(plain if absorb else sealed), words(plain), tag)

    @classmethod
    def draw(cls, cipher: Cipher, rng: np.random.Generator, absorb: int, count: int) -> "Message":
        """A random one of `count` words."""
        return cls.sealed(cipher, rng.bytes(16), rng.bytes(cipher.model.NONCE_BYTES), absorb, rng.bytes(4 * count))

    @property
    def beats(self) -> Iterator[dict[str, int]]:
        return ({"data": data, "last": last} for data, last in self.taken)


def words(data: bytes) -> list[tuple[int, int]]:
    count = len(data) // 4
    return [(int.from_bytes(data[4 * i : 4 * i + 4], "little"), int(i == count - 1)) for i in range(count)]


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
