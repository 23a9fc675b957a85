"""A board's design with its pins as ports, for board-level simulation."""

from amaranth import Fragment, Module
from amaranth.lib.wiring import Component, In, Out

from deeplock.fpga.boards.board import Board
from deeplock.fpga.gateware.pin_platform import PinPlatform
from deeplock.fpga.gateware.top import Top

__all__ = ["BoardPins"]


class BoardPins(Component):
    """`fpga.gateware.top.Top` without its PLL: domain `sync` comes from outside, at the board's clock_hz.

    Members:
        rx, tx                the UART's pins
        cs, sck, o, oe, i     the flash's pins; `cs` as on the board, low when the flash is selected
    """

    def __init__(self, board: Board):
        self._board = board
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1),
                "cs": Out(1),
                "sck": Out(1),
                "o": Out(4),
                "oe": Out(4),
                "i": In(4),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        pins = PinPlatform(self._board.flash_lines)
        m.submodules.top = Fragment.get(Top(self._board, with_pll=False), pins)
        port = {pin: port for (_, pin), port in pins.ports.items()}
        m.d.comb += [
            port["rx"].i.eq(self.rx),
            self.tx.eq(port["tx"].o),
            self.cs.eq(port["cs"].o),
            self.sck.eq(port["clk"].o),
            self.o.eq(port["dq"].o),
            self.oe.eq(port["dq"].oe),
            port["dq"].i.eq(self.i),
        ]
        return m
