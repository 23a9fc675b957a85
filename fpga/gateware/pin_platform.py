"""A platform for simulation: a board's pins as signals."""

from types import SimpleNamespace
from typing import Any

from amaranth.lib import io

__all__ = ["PinPlatform"]


class PinPlatform:
    """Gives simulation ports for the resources that fpga.gateware.top requests; `ports` has them by resource and pin.

    All that synthesis infers or instantiates stays generic RTL: `device` is None. test_ice40.py holds the hard
    blocks against that.
    """

    device = None

    def __init__(self):
        self.ports = {
            ("uart", "rx"): io.SimulationPort("i", 1),
            ("uart", "tx"): io.SimulationPort("o", 1),
            ("spi_flash_4x", "cs"): io.SimulationPort("o", 1, invert=True),
            ("spi_flash_4x", "clk"): io.SimulationPort("o", 1),
            ("spi_flash_4x", "dq"): io.SimulationPort("io", 4),
        }

    def request(self, name: str, *, dir: dict[str, str]) -> Any:
        """The ports of a resource."""
        return SimpleNamespace(**{pin: self.ports[name, pin] for pin in dir})
