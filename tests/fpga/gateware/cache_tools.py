"""A model of the flash reader behind a cache, and whoever takes the cache's stream."""

from random import Random

from deeplock.fpga.gateware.loadable_cache import LoadableCache
from deeplock.fpga.gateware.sdram_cache import SdramCache

__all__ = ["Reader", "expected", "request", "take"]

Cache = LoadableCache | SdramCache
BYTES = 4


def beat(number: int, size: int) -> int:
    """A beat of `size` bytes; its 32-bit words differ."""
    return sum((number + 0x1234567 * word & 0xFFFFFFFF) << 32 * word for word in range(size // 4))


class Reader:
    """What `FlashReader` gives: beat i of a range is number address + i; a new request or `stop` ends the old one."""

    def __init__(self, dut: Cache, pauses: float, dice: Random, size: int = BYTES) -> None:
        self.dut, self.pauses, self.dice, self.size = dut, pauses, dice, size
        self.beats = 0

    async def serve(self, ctx) -> None:
        dut, beats, at, valid = self.dut, [], 0, False
        ctx.set(dut.flash.ready, 1)
        while True:
            valid = bool(beats) and (valid or self.dice.random() >= self.pauses)
            ctx.set(dut.beats.valid, valid)
            ctx.set(dut.beats.payload.data, beats[at] if beats else 0)
            ctx.set(dut.beats.payload.last, bool(beats) and at == len(beats) - 1)
            *_, request, payload, stop, ready = await ctx.tick().sample(
                dut.flash.valid, dut.flash.payload, dut.stop_flash, dut.beats.ready
            )
            if valid and ready:
                at, valid = (at + 1) % len(beats), False
                self.beats += 1
            if stop:
                beats, valid = [], False
            if request:
                beats, at, valid = (
                    [beat(payload.address + i, self.size) for i in range(payload.length // self.size)],
                    0,
                    False,
                )


async def request(ctx, dut: Cache, address: int, length: int) -> None:
    ctx.set(dut.request.payload, {"address": address, "length": length})
    ctx.set(dut.request.valid, 1)
    await ctx.tick()
    assert ctx.get(dut.request.ready)
    ctx.set(dut.request.valid, 0)


async def take(ctx, dut: Cache, count: int, pauses: float, dice: Random) -> tuple[list, int]:
    """`count` beats as (data, last), and the cycles that they took; what is offered stays until it is taken."""
    beats, cycles, offered = [], 0, None
    while len(beats) < count:
        ready = dice.random() >= pauses
        ctx.set(dut.loadable.ready, ready)
        *_, valid, data, last = await ctx.tick().sample(
            dut.loadable.valid, dut.loadable.payload.data, dut.loadable.payload.last
        )
        cycles += 1
        assert offered is None or (valid and (data, last) == offered)
        offered = (data, last) if valid and not ready else None
        if valid and ready:
            beats.append((data, last))
    ctx.set(dut.loadable.ready, 0)
    return beats, cycles


def expected(address: int, length: int, count: int, size: int = BYTES) -> list[tuple[int, int]]:
    beats = length // size
    return [(beat(address + i % beats, size), int(i % beats == beats - 1)) for i in range(count)]
