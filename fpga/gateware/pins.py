"""A board's design with its pins as ports, for board-level simulation."""

from amaranth import Cat, Fragment, Module
from amaranth.lib.wiring import Component, In, Out

from deeplock.fpga.boards.board import Board
from deeplock.fpga.gateware.pin_platform import PinPlatform
from deeplock.fpga.gateware.top import Top

__all__ = ["BoardPins"]

_SDRAM = {
    "sdram_clk": Out(1),
    "sdram_command": Out(3),
    "sdram_bank": Out(2),
    "sdram_a": Out(13),
    "sdram_o": Out(16),
    "sdram_oe": Out(1),
    "sdram_i": In(16),
}


class BoardPins(Component):
    """`fpga.gateware.top.Top` without its PLL: domain `sync` comes from outside, at the board's clock_hz.

    Members:
        rx, tx                the UART's pins
        cs, sck, o, oe, i     the flash's pins; `cs` as on the board, low when the flash is selected
        sdram_...             with one, its pins: clk, command (levels of RAS, CAS, WE), bank, a, o, oe, i
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
            | (_SDRAM if board.sdram else {})
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        pins = PinPlatform(self._board.flash_lines, self._board.sdram)
        m.submodules.top = Fragment.get(Top(self._board, with_pll=False), pins)
        port = {pin: port for (resource, pin), port in pins.ports.items() if resource != "sdram"}
        m.d.comb += [
            port["rx"].i.eq(self.rx),
            self.tx.eq(port["tx"].o),
            self.cs.eq(port["cs"].o),
            self.sck.eq(port["clk"].o),
            self.o.eq(port["dq"].o),
            self.oe.eq(port["dq"].oe),
            port["dq"].i.eq(self.i),
        ]
        if self._board.sdram:
            chip = {pin: port for (resource, pin), port in pins.ports.items() if resource == "sdram"}
            m.d.comb += [
                self.sdram_clk.eq(chip["clk"].o),
                self.sdram_command.eq(Cat(chip[name].o for name in ("ras", "cas", "we"))),
                self.sdram_bank.eq(chip["ba"].o),
                self.sdram_a.eq(chip["a"].o),
                self.sdram_o.eq(chip["dq"].o),
                self.sdram_oe.eq(chip["dq"].oe[0]),
                chip["dq"].i.eq(self.sdram_i),
            ]
        return m
