"""A platform for simulation: a board's pins as signals."""

from types import SimpleNamespace
from typing import Any

from amaranth import ClockDomain, ClockSignal, Module, Mux, Signal
from amaranth.lib import io

__all__ = ["PinPlatform"]


class PinPlatform:
    """Simulation ports for the resources that fpga.gateware.top requests; `ports` holds them by resource and pin.

    lines   data lines of the flash
    sdram   there is one

    `device` is None, so all hard blocks are generic RTL; tests/hw/families compares hard blocks with that.
    """

    device = None

    def __init__(self, lines: int, sdram: bool = False):
        flash = f"spi_flash_{lines}x"
        self.ports = {
            ("uart", "rx"): io.SimulationPort("i", 1),
            ("uart", "tx"): io.SimulationPort("o", 1),
            (flash, "cs"): io.SimulationPort("o", 1, invert=True),
            (flash, "clk"): io.SimulationPort("o", 1),
            (flash, "dq"): io.SimulationPort("io", lines),
        }
        if sdram:
            widths = {"clk": 1, "clk_en": 1, "cs": 1, "ras": 1, "cas": 1, "we": 1, "ba": 2, "a": 13, "dqm": 2}
            low = ("cs", "ras", "cas", "we")
            for name, width in widths.items():
                self.ports["sdram", name] = io.SimulationPort("o", width, invert=name in low)
            self.ports["sdram", "dq"] = io.SimulationPort("io", 16)

    def request(self, name: str, *, dir: dict[str, str]) -> Any:
        """The ports of a resource."""
        return SimpleNamespace(**{pin: self.ports[name, pin] for pin in dir})

    def get_io_buffer(self, buffer) -> Any:
        """Amaranth's buffers; in place of double-data-rate ones, which it cannot simulate, registers and the clock's level."""
        if not isinstance(buffer, io.DDRBuffer):
            return buffer.elaborate(None)
        m = Module()
        port, invert = buffer.port, sum(each << bit for bit, each in enumerate(buffer.port.invert))
        halves = [Signal(len(port), name=f"half_{index}") for index in range(2)]
        m.d.sync += [half.eq(value ^ invert) for half, value in zip(halves, buffer.o, strict=True)]
        m.d.comb += port.o.eq(Mux(ClockSignal(), *halves))
        if buffer.direction is io.Direction.Bidir:
            oe, middle = Signal(), Signal(len(port), reset_less=True)
            m.d.sync += [oe.eq(buffer.oe), buffer.i[1].eq(middle)]
            m.domains.middle = ClockDomain(clk_edge="neg", local=True, reset_less=True)
            m.d.comb += [ClockSignal("middle").eq(ClockSignal()), port.oe.eq(oe.replicate(len(port)))]
            m.d.middle += middle.eq(port.i)
        return m
