"""What is around a Link in Amaranth's simulator: a host's pipe, and an accelerator that is a few lines of Python."""

from functools import partial
from random import Random

from amaranth.sim import SimulatorContext

from deeplock.fpga.frames import ANSWER_SYNC, REQUEST_SYNC, Frame, State
from deeplock.fpga.gateware.link import Link
from deeplock.hw.basics.axi import Response
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import address
from tests.hw.stream_tools import check_stable, simulate

__all__ = [
    "CLOCK",
    "CONFIG",
    "GEOMETRY",
    "BytePipe",
    "Registers",
    "config_of",
    "give_ofmaps",
    "raw",
    "run",
    "take_ifmaps",
]

CONFIG = Config(rows=4, cols=16, bytes_per_beat=4, activation_words=64, ifmap_bytes=64)
GEOMETRY = {address("GEOMETRY"): 4}
CLOCK = 5_000
"""So slow that the link's timeout is 64 cycles."""


class BytePipe:
    """The bytes of the UART, without the UART. As `Pipe` wants it; `damage` of them are wrong, and as many lost."""

    name = "the board"

    def __init__(self, ctx: SimulatorContext, dut: Link, damage: float = 0.0, dice: Random | None = None):
        self._ctx, self._dut, self._damage, self._dice = ctx, dut, damage, dice or Random(0)

    def _line(self, byte: int) -> bytes:
        chance = self._dice.random() - self._damage
        if chance < 0:
            byte ^= 1 << self._dice.randrange(8)
        return b"" if 0 <= chance < self._damage else bytes([byte])

    async def send(self, data: bytes) -> None:
        for sent in data:
            for byte in self._line(sent):
                self._ctx.set(self._dut.rx.valid, 1)
                self._ctx.set(self._dut.rx.payload, byte)
                await self._ctx.tick()
                self._ctx.set(self._dut.rx.valid, 0)
            for _ in range(3):
                await self._ctx.tick()

    async def receive(self, count: int, timeout: float) -> bytes:
        data, cycles = b"", 0
        while len(data) < count and cycles < timeout * CLOCK:
            self._ctx.set(self._dut.tx.ready, 1)
            *_, valid, byte = await self._ctx.tick().sample(self._dut.tx.valid, self._dut.tx.payload)
            self._ctx.set(self._dut.tx.ready, 0)
            data += self._line(byte) if valid else b""
            cycles += 1
        return data


class Registers:
    """An AXI4-Lite slave that keeps what is written, takes its time, and refuses addresses that it does not have."""

    def __init__(self, dut: Link, dice: Random, pauses: float, values: dict[int, int]):
        self._dut, self._dice, self._pauses, self.values = dut, dice, pauses, values
        self.written: list[tuple[int, int]] = []
        self.read: list[int] = []

    def _response(self, address: int) -> Response:
        return Response.OKAY if address in self.values else Response.SLVERR

    async def work(self, ctx: SimulatorContext) -> None:
        """Run in the background."""
        dut = self._dut
        address = data = None
        b_waits = r_waits = False

        def go() -> bool:
            return self._dice.random() >= self._pauses

        while True:
            ctx.set(dut.registers.awready, address is None and go())
            ctx.set(dut.registers.wready, data is None and go())
            ctx.set(dut.registers.arready, not r_waits and go())
            ctx.set(dut.registers.bvalid, b_waits)
            ctx.set(dut.registers.rvalid, r_waits)
            aw, w, ar, b, r = (
                ctx.get(getattr(dut.registers, f"{name}valid") & getattr(dut.registers, f"{name}ready"))
                for name in ("aw", "w", "ar", "b", "r")
            )
            b_waits, r_waits = b_waits and not b, r_waits and not r
            if aw:
                address = ctx.get(dut.registers.awaddr)
            if w:
                data = ctx.get(dut.registers.wdata)
                assert ctx.get(dut.registers.wstrb) == 0xF
            if address is not None and data is not None and not b_waits and go():
                ctx.set(dut.registers.bresp, self._response(address))
                self.written.append((address, data))
                self.values |= {address: data} if address in self.values else {}
                address, data, b_waits = None, None, True
            if ar:
                wanted, r_waits = ctx.get(dut.registers.araddr), True
                self.read.append(wanted)
                ctx.set(dut.registers.rresp, self._response(wanted))
                ctx.set(dut.registers.rdata, self.values.get(wanted, 0))
            await ctx.tick()


async def take_ifmaps(ctx: SimulatorContext, dut: Link, beats: list[tuple[int, int]], ready) -> None:
    """Run in the background: takes a beat, data and `last`, in every cycle in which `ready()`."""
    while True:
        ctx.set(dut.ifmap.ready, ready())
        *_, valid, is_ready, data, last = await ctx.tick().sample(
            dut.ifmap.valid, dut.ifmap.ready, dut.ifmap.payload.data, dut.ifmap.payload.last
        )
        assert is_ready or not valid, "a beat was offered, and would be withdrawn"
        if valid:
            beats.append((data, last))


async def give_ofmaps(
    ctx: SimulatorContext, dut: Link, beats: list[tuple[int, int, int]], dice: Random, pauses: float
) -> None:
    """Run in the background: gives the beats, data, keep and `last`, from the front of the list."""
    while True:
        if beats and (ctx.get(dut.ofmap.valid) or dice.random() >= pauses):
            ctx.set(dut.ofmap.valid, 1)
            ctx.set(dut.ofmap.payload, dict(zip(("data", "keep", "last"), beats[0], strict=True)))
        *_, valid, ready = await ctx.tick().sample(dut.ofmap.valid, dut.ofmap.ready)
        if valid and ready:
            beats.pop(0)
            ctx.set(dut.ofmap.valid, 0)


def config_of(**changes: int) -> Config:
    return Config(**{**vars(CONFIG), "ofmap_bytes": 0, **changes})


async def raw(ctx, dut: Link, command: int, payload: bytes = b"", sequence: int = 0) -> tuple[bytes, State]:
    """Send one request; its answer's data and state."""
    pipe = BytePipe(ctx, dut)
    await pipe.send(Frame(sequence, command, payload).encode(REQUEST_SYNC))
    head = await pipe.receive(3, 1)
    answer = Frame.decode(head + await pipe.receive(head[2] + 2, 1), ANSWER_SYNC)
    assert answer is not None and answer.sequence == sequence
    return answer.payload, State(answer.code)


def run(dut: Link, testbench, *background, cycles: int = 100_000, design=None) -> None:
    simulate(design or dut, testbench, background=[*background, partial(check_stable, stream=dut.tx)], cycles=cycles)
