"""A memory behind AXI4, for the Amaranth simulator, which holds its manager to the rules; and a manager of registers."""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from random import Random

from amaranth.sim import SimulatorContext

from deeplock.hw.basics.axi import Response
from deeplock.pymodel.spec.memory import Command, Status, address
from tests.hw.register_bus import Bus

__all__ = ["Fault", "Memory", "MemoryBus"]

PAGE = 4096


class Fault(Enum):
    """What a memory may do wrong with a beat that is read."""

    SLVERR = 2
    DECERR = 3
    EARLY = "the burst ends with this beat"
    SPURIOUS = "this beat has rlast, and the burst goes on"
    MISSING = "the last beat of this burst has no rlast"


@dataclass
class _Beat:
    due: int
    data: int
    resp: int
    last: bool


class Memory:
    """Answers bursts of reads in order, each `latency` cycles after its address or as soon as the bus is free; and writes.

    pauses  probability of a pause in each cycle of each channel
    faults  by number of the beat that is read, from 0
    refuses responses of writes, by number of the burst

    Raises AssertionError if the manager breaks a rule of AXI4, or has more than `outstanding` bursts of reads on their way.
    """

    def __init__(self, port, content: bytes, outstanding: int, latency: int = 1, pauses: float = 0.0, dice=None):
        self.port, self.data, self.latency, self.pauses = port, bytearray(content), latency, pauses
        self.dice, self.outstanding = dice or Random(0), outstanding
        self.faults: dict[int, Fault] = {}
        self.refuses: dict[int, Response] = {}
        self.reads: list[tuple[int, int]] = []  # bursts: address, beats
        self.writes: list[tuple[int, int]] = []
        self.written = set()  # addresses of bytes
        self.beats = 0
        self.cycle = 0
        self.first_read = -1  # cycle of the first AR
        self.size = len(port.rdata) // 8

    def _pauses(self) -> bool:
        return self.dice.random() < self.pauses

    def _check(self, channel: str, address: int, length_1: int, size: int, burst: int) -> tuple[int, int]:
        beats = length_1 + 1
        assert burst == 1 and 1 << size == self.size and address % self.size == 0, channel
        assert address % PAGE + beats * self.size <= PAGE, f"{channel}: {beats} beats from {address:#x} cross 4 KiB"
        return address, beats

    async def serve_reads(self, ctx: SimulatorContext) -> None:
        """Run in the background."""
        port, queue, on_its_way = self.port, deque[_Beat](), deque[_Beat]()
        offered, waiting = None, None
        while True:
            if offered is None and queue and queue[0].due <= self.cycle and not self._pauses():
                offered = queue.popleft()
            ctx.set(port.rvalid, offered is not None)
            if offered is not None:
                for name in ("data", "resp", "last"):
                    ctx.set(getattr(port, f"r{name}"), getattr(offered, name))
            ready = not self._pauses()
            ctx.set(port.arready, ready)
            *_, valid, rready, address, length_1, size, burst = await ctx.tick().sample(
                port.arvalid, port.rready, port.araddr, port.arlen, port.arsize, port.arburst
            )
            if offered is not None and rready:
                if offered is on_its_way[0]:
                    on_its_way.popleft()
                offered = None
            if waiting is not None:
                assert valid and (address, length_1) == waiting, "an address was withdrawn before it was taken"
            waiting = (address, length_1) if valid and not ready else None
            if valid and ready:
                address, beats = self._check("AR", address, length_1, size, burst)
                if not self.reads:
                    self.first_read = self.cycle
                self.reads.append((address, beats))
                made = self._burst(address, beats)
                queue += made
                on_its_way.append(made[-1])
                assert len(on_its_way) <= self.outstanding, "too many bursts on their way"
            self.cycle += 1

    def _burst(self, address: int, beats: int) -> list[_Beat]:
        made, due = [], self.cycle + self.latency
        numbers = range(self.beats, self.beats + beats)
        missing = any(self.faults.get(number) == Fault.MISSING for number in numbers)
        self.beats += beats
        for at, number in enumerate(numbers):
            place = address + at * self.size
            fault = self.faults.get(number)
            resp = fault.value if fault in (Fault.SLVERR, Fault.DECERR) else 0
            data = int.from_bytes(self.data[place : place + self.size], "little")
            ends = at == beats - 1
            last = (ends and not missing) or fault in (Fault.EARLY, Fault.SPURIOUS)
            made.append(_Beat(due, data if not resp else 0, resp, last))
            if fault == Fault.EARLY:
                break
        return made

    async def serve_writes(self, ctx: SimulatorContext) -> None:
        """Run in the background."""
        port, bursts, beats, answers = self.port, deque(), deque(), deque()
        waiting, offered = {}, None
        while True:
            ready = {"aw": not self._pauses(), "w": not self._pauses()}
            for channel, value in ready.items():
                ctx.set(getattr(port, f"{channel}ready"), value)
            if offered is None and answers and not self._pauses():
                offered = answers.popleft()
            ctx.set(port.bvalid, offered is not None)
            if offered is not None:
                ctx.set(port.bresp, offered)
            *_, awvalid, addr, length_1, size, burst, wvalid, data, strobes, last, bready = await ctx.tick().sample(
                port.awvalid, port.awaddr, port.awlen, port.awsize, port.awburst,
                port.wvalid, port.wdata, port.wstrb, port.wlast, port.bready,
            )  # fmt: skip
            for channel, valid, payload in (("aw", awvalid, (addr, length_1)), ("w", wvalid, (data, strobes, last))):
                assert channel not in waiting or (valid and waiting[channel] == payload), f"{channel} was withdrawn"
                waiting.pop(channel, None)
                if valid and not ready[channel]:
                    waiting[channel] = payload
            if offered is not None and bready:
                offered = None
            if awvalid and ready["aw"]:
                bursts.append(self._check("AW", addr, length_1, size, burst))
                self.writes.append(bursts[-1])
            if wvalid and ready["w"]:
                beats.append((data, strobes, last))
            while bursts and len(beats) >= bursts[0][1]:
                place, count = bursts.popleft()
                refused = self.refuses.get(len(self.writes) - 1, Response.OKAY)
                for number in range(count):
                    data, strobes, last = beats.popleft()
                    assert last == (number == count - 1), "wlast"
                    for at in range(self.size):
                        if strobes >> at & 1 and not refused:
                            self.data[place + at] = data >> 8 * at & 0xFF
                            self.written.add(place + at)
                    place += self.size
                answers.append(refused)


class MemoryBus(Bus):
    """Reads and writes the memory master's registers."""

    async def tick(self, *signals):
        return (await self.ctx.tick().sample(*signals))[2:]

    async def set(self, name: str, value: int) -> None:
        assert await self.write(address(name), value) == Response.OKAY, f"{name} refuses {value:#x}"

    async def refuses(self, name: str, value: int) -> None:
        assert await self.write(address(name), value) == Response.SLVERR, f"{name} takes {value:#x}"

    async def begin(self, command: Command, where: int, size: int, packets: int = 1) -> None:
        """A transfer, when none waits any more."""
        await self.until(Status.PENDING, 0)
        for name, value in (("ADDRESS", where), ("BYTES", size), ("PACKETS", packets), ("CONTROL", command)):
            await self.set(name, value)

    async def status(self) -> int:
        return (await self.read(address("STATUS")))[0]

    async def until(self, mask: int, value: int) -> int:
        while (status := await self.status()) & mask != value:
            pass
        return status
