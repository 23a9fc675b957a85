"""A platform for simulation: a board's pins as signals."""

from types import SimpleNamespace
from typing import Any

from amaranth import ClockSignal, Module, Signal
from amaranth.lib import io

__all__ = ["PinPlatform"]


class PinPlatform:
    """Simulation ports for the resources that fpga.gateware.top requests; `ports` holds them by resource and pin.

    lines   data lines of the flash

    `device` is None, so all hard blocks are generic RTL; tests/hw/families compares hard blocks with that.
    """

    device = None

    def __init__(self, lines: int):
        flash = f"spi_flash_{lines}x"
        self.ports = {
            ("uart", "rx"): io.SimulationPort("i", 1),
            ("uart", "tx"): io.SimulationPort("o", 1),
            (flash, "cs"): io.SimulationPort("o", 1, invert=True),
            (flash, "clk"): io.SimulationPort("o", 1),
            (flash, "dq"): io.SimulationPort("io", lines),
        }

    def request(self, name: str, *, dir: dict[str, str]) -> Any:
        """The ports of a resource."""
        return SimpleNamespace(**{pin: self.ports[name, pin] for pin in dir})

    def get_io_buffer(self, buffer) -> Any:
        """Amaranth's buffers. For a double-data-rate output, which it cannot simulate, the pulse of SpiPins."""
        if not isinstance(buffer, io.DDRBuffer):
            return buffer.elaborate(None)
        m = Module()
        pulse = Signal()
        m.d.sync += pulse.eq(buffer.o[1])
        m.d.comb += buffer.port.o.eq(pulse & ~ClockSignal())
        return m
