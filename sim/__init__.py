"""Builds and runs simulations; drivers; models of UART and flash. For a cocotb testbench of one's own: `Driver`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplock.sim.driver import Driver

__all__ = ["Driver"]


def __getattr__(name: str):
    if name != "Driver":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from deeplock.sim.driver import Driver  # only when it is wanted: cocotb takes a second to import

    return Driver
