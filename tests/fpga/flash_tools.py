"""A flash at the pins of a FlashReader, in Amaranth's simulator."""

from amaranth.sim import SimulatorContext

from deeplock.fpga.gateware.flash import FlashReader
from deeplock.sim.flash_model import Flash

__all__ = ["connect_flash"]


async def connect_flash(ctx: SimulatorContext, dut: FlashReader, flash: Flash, divider: int, period_ns: float) -> None:
    """Run in the background: the flash behind pins that register everything once, as io.FFBuffer and io.DDRBuffer do."""
    now, wire, was = 0.0, 0xF, (0, 0, 0, 0)
    async for *_, cs, sck, o, oe in ctx.tick().sample(dut.spi.cs, dut.spi.sck, dut.spi.o, dut.spi.oe):
        now += period_ns
        ctx.set(dut.spi.i, wire)
        had_cs, had_sck, *_ = was
        if had_sck and (divider == 1 or not sck):
            flash.fall()
        if cs and not had_cs:
            flash.select(now)
        if had_cs and not cs:
            flash.deselect(now)
        if sck and (divider == 1 or not had_sck):
            flash.rise(o, oe)
        wire, was = flash.wire(o, oe), (cs, sck, o, oe)
