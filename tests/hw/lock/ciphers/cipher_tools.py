"""The ciphers in hardware, with their models and the cycles that their docstrings state, and how to drive one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np
from amaranth.hdl import Array, Module, Signal
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.sim import SimulatorContext

from deeplock.hw.lock.ciphers.acorn import Acorn
from deeplock.hw.lock.ciphers.ascon import Ascon
from deeplock.hw.lock.ciphers.signature import CipherSignature
from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from deeplock.pymodel.lock.ciphers import acorn, ascon, tinyjambu

__all__ = ["CIPHERS", "Cipher", "Message", "WholeNonce", "begin", "words"]


class WholeNonce(Component):
    """A cipher that takes its nonce in words, with the memory that holds them: `nonce` is all of it."""

    def __init__(self, cipher: Component, nonce_bytes: int):
        self._cipher, self._words, self.tag_words = cipher, nonce_bytes // 4, cipher.tag_words
        super().__init__(CipherSignature(len(cipher.inlet.payload.data) // 8))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.cipher = cipher = self._cipher
        for name in self.signature.members:
            if name in ("inlet", "outlet"):
                connect(m, flipped(getattr(self, name)), getattr(cipher, name))
            elif name != "nonce":
                m.d.comb += getattr(cipher, name).eq(getattr(self, name))
        word = Signal(32)
        held = [self.nonce.word_select(at, 32) if at < self._words else 0 for at in range(4)]
        m.d.sync += word.eq(Array(held)[cipher.nonce_at])
        with m.If(self.clear):
            m.d.sync += word.eq(0)
        m.d.comb += cipher.nonce.eq(word)
        return m


@dataclass(frozen=True)
class Cipher:
    """Cycles are of a message that is absorbed, or opened.

    size      bytes of a word
    lanes     messages side by side in the words
    at        (absorbed, number) -> cycle in which this word is taken, from `start` on; the first word is number 0
    ends      (absorbed, words) -> cycles from the last word to the tag's first
    between   cycles from a tag's word to its next
    """

    name: str
    make: Callable[[], Component]
    model: ModuleType
    size: int
    lanes: int
    at: Callable[[int, int], int]
    ends: Callable[[int, int], int]
    between: int = 1

    def __str__(self) -> str:
        return self.name

    def tag_at(self, absorb: int, count: int) -> list[int]:
        """The cycles in which the tag's words behind `count` words are taken."""
        first = self.at(absorb, count - 1) + self.ends(absorb, count)
        return [first + self.between * number for number in range(self.model.TAG_BYTES * self.lanes // self.size)]


def _acorn(size: int) -> Cipher:
    def at(absorb: int, number: int) -> int:
        return 66 - 8 * absorb + number

    return Cipher(f"acorn-{size}", partial(Acorn, size), acorn, size, size // 4, at, lambda absorb, _: 29 + 8 * absorb)


def _tinyjambu(size: int, steps: int) -> Cipher:
    def at(absorb: int, number: int) -> int:
        return 1 + (3584 + 640 * number if absorb else 3968 + 1024 * number) // steps

    def make() -> Component:
        return WholeNonce(TinyJambu(size, steps), tinyjambu.NONCE_BYTES)

    name = f"tinyjambu-{size}-{steps}"
    return Cipher(name, make, tinyjambu, size, size // 4, at, lambda *_: 1024 // steps, 640 // steps)


def _ascon(size: int) -> Cipher:
    words = 16 // size  # of a block

    def at(absorb: int, number: int) -> int:
        return 14 + number % words + number // words * (7 + max(1, words - 1))

    def ends(absorb: int, count: int) -> int:
        return (13 if count % words else 20) + 8 * absorb

    return Cipher(f"ascon-{size}", partial(Ascon, size), ascon, size, 1, at, ends)


CIPHERS = [
    *map(_acorn, (4, 16)),
    *(_tinyjambu(*sizes) for sizes in ((4, 32), (4, 128), (8, 128))),
    *map(_ascon, (4, 8, 16)),
]


@dataclass(frozen=True)
class Message:
    """count          its words without the tag's
    taken, given   its words and then the tag's as (data, last): as they go in, and as they come out"""

    key: bytes
    nonce: bytes
    absorb: int
    count: int
    taken: list[tuple[int, int]]
    given: list[tuple[int, int]]

    @classmethod
    def of(cls, size: int, key: bytes, nonce: bytes, absorb: int, taken: bytes, given: bytes, tag: bytes) -> "Message":
        """Of words of `size` bytes. `last` of the tag's means nothing: here it is `absorb`."""
        message, check = words(taken, size), [(data, absorb) for data, _ in words(tag, size)]
        return cls(
            key, nonce, absorb, len(message), message + check, words(given, size) + [(0, last) for _, last in check]
        )

    @classmethod
    def sealed(cls, cipher: Cipher, key: bytes, nonce: bytes, absorb: int, plain: bytes) -> "Message":
        """With the model's ciphertext and tag: each lane's own, with byte 0 of the nonce XORed with the lane."""
        made = []
        for lane in range(cipher.lanes):
            own = bytes([nonce[0] ^ lane]) + nonce[1:]
            part = b"".join(plain[i : i + 4] for i in range(4 * lane, len(plain), 4 * cipher.lanes))
            sealed, tag = cipher.model.seal(key, own, part if absorb else b"", b"" if absorb else part)
            made.append((part if absorb else sealed, tag))
        taken, tag = (_side_by_side(parts) for parts in zip(*made, strict=True))
        return cls.of(cipher.size, key, nonce, absorb, taken, plain, tag)

    @classmethod
    def draw(cls, cipher: Cipher, rng: np.random.Generator, absorb: int, count: int) -> "Message":
        """A random one of `count` words."""
        return cls.sealed(
            cipher, rng.bytes(16), rng.bytes(cipher.model.NONCE_BYTES), absorb, rng.bytes(cipher.size * count)
        )

    @property
    def beats(self) -> Iterator[dict[str, int]]:
        return ({"data": data, "last": last} for data, last in self.taken)


def _side_by_side(parts: tuple[bytes, ...]) -> bytes:
    """The lanes' bytes, as they come in words."""
    return b"".join(part[i : i + 4] for i in range(0, len(parts[0]), 4) for part in parts)


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
