"""Both ends of a stream for testbenches of the Amaranth simulator, with pauses.

Each runs in a testbench of its own, for instance `simulate(dut, partial(send, stream=dut.input, items=...), check)`, so
that input and output move at the same time.
"""

from collections.abc import Callable, Iterable
from random import Random

from amaranth.hdl import Elaboratable, Fragment
from amaranth.lib.stream import Interface
from amaranth.sim import Simulator, SimulatorContext

__all__ = ["check_stable", "receive", "send", "simulate"]

PERIOD = 1e-6


def simulate(
    design: Elaboratable | Fragment, *testbenches: Callable, background: Iterable[Callable] = (), cycles: int = 20_000
) -> None:
    """Run a clocked design until every testbench, an async function of the context, is done.

    background   testbenches that are not waited for; in every cycle they come before the others, who see what they did
    cycles       after so many the run fails: something hangs
    """

    async def watchdog(ctx: SimulatorContext) -> None:
        await ctx.delay(cycles * PERIOD)
        raise AssertionError(f"no end after {cycles} cycles")

    simulator = Simulator(design)
    simulator.add_clock(PERIOD)
    for testbench in (*background, watchdog):
        simulator.add_testbench(testbench, background=True)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


async def send(
    ctx: SimulatorContext, stream: Interface, items: Iterable, pauses: float = 0.0, rng: Random | None = None
) -> None:
    """Send every item, one a cycle if the stream is ready; before each, idle cycles with probability `pauses`."""
    rng = rng or Random(0)
    for item in items:
        while rng.random() < pauses:
            await ctx.tick()
        ctx.set(stream.payload, item)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def receive(
    ctx: SimulatorContext, stream: Interface, count: int, pauses: float = 0.0, rng: Random | None = None
) -> list:
    """Receive `count` items, one a cycle if the stream is valid; before each, not ready with probability `pauses`."""
    rng = rng or Random(0)
    items = []
    while len(items) < count:
        while rng.random() < pauses:
            await ctx.tick()
        ctx.set(stream.ready, 1)
        (item,) = await ctx.tick().sample(stream.payload).until(stream.valid)
        ctx.set(stream.ready, 0)
        items.append(item)
    return items


async def check_stable(ctx: SimulatorContext, stream: Interface) -> None:
    """Run in the background: an offered payload must stay until it is taken (no `clear` meanwhile)."""
    waiting = None
    async for *_, valid, ready, payload in ctx.tick().sample(stream.valid, stream.ready, stream.payload):
        assert waiting is None or (valid and payload == waiting), "payload withdrawn before it was taken"
        waiting = payload if valid and not ready else None
