"""A board's whole design: the system behind the board's pins."""

from amaranth import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import io

from deeplock.fpga.boards.board import Board
from deeplock.fpga.gateware.clocks import Clock
from deeplock.fpga.gateware.system import System
from deeplock.hw.families import blocks_of
from deeplock.pymodel.errors import DeeplockError

__all__ = ["Top"]


class Top(Elaboratable):
    """`System` with clock, UART pins, flash pins and SDRAM pins of a board. Elaborate it with the board's platform.

    with_pll   the board's PLL drives domain `sync`; else it comes from outside
    """

    def __init__(self, board: Board, with_pll: bool = True):
        self._board, self._with_pll = board, with_pll

    def elaborate(self, platform) -> Module:
        m = Module()
        board = self._board
        if self._with_pll:
            m.domains.sync = ClockDomain()
            m.submodules.clock = Clock(board.clock_hz)
        m.submodules.system = system = System(
            board.config,
            board.clock_hz,
            board.baud,
            board.name,
            board.divider,
            board.cache_bytes,
            board.flash_lines,
            board.sdram,
        )
        uart = platform.request("uart", dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx)]
        self._flash(m, platform, system.spi)
        if board.sdram:
            self._connect_sdram(m, platform, system.sdram)
        return m

    def _flash(self, m: Module, platform, spi) -> None:
        """Connect the flash: one register at every pin, the clock as in fpga.gateware.flash.SpiPins."""
        lines = self._board.flash_lines
        pins = platform.request(f"spi_flash_{lines}x", dir={"cs": "-", "clk": "-", "dq": "-"})
        if not hasattr(pins, "clk"):
            if self._board.divider == 1:
                raise DeeplockError(f"divider must be 2 on {self._board.name}, whose flash has no clk pin, not 1")
            level = Signal(name="usrmclk")
            m.d.sync += level.eq(spi.sck)
            blocks_of(platform).configuration_clock(m, level)
        elif self._board.divider == 1:
            m.submodules.sck = sck = io.DDRBuffer("o", pins.clk)
            m.d.comb += [sck.o[0].eq(0), sck.o[1].eq(spi.sck)]
        else:
            m.submodules.sck = sck = io.FFBuffer("o", pins.clk)
            m.d.comb += sck.o.eq(spi.sck)
        m.submodules.cs = cs = io.FFBuffer("o", pins.cs)
        m.d.comb += cs.o.eq(spi.cs)
        for index in range(lines):
            m.submodules[f"dq_{index}"] = dq = io.FFBuffer("io", pins.dq[index])
            m.d.comb += [dq.o.eq(spi.o[index]), dq.oe.eq(spi.oe[index]), spi.i[index].eq(dq.i)]

    def _connect_sdram(self, m: Module, platform, sdram) -> None:
        """Connect the SDRAM: registers of the same kind at all its pins, its clock with them, as in
        fpga.gateware.sdram.SdramPins."""
        names = ("clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm")
        pins = platform.request("sdram", dir=dict.fromkeys(names, "-"))
        always = {"clk_en": 1, "cs": 1, "dqm": 0}
        command = {name: sdram.command[bit] for bit, name in enumerate(("ras", "cas", "we"))}
        for name, value in (always | command | {"ba": sdram.bank, "a": sdram.a}).items():
            m.submodules[f"sdram_{name}"] = buffer = io.DDRBuffer("o", getattr(pins, name))
            m.d.comb += [half.eq(value) for half in buffer.o]
        m.submodules.sdram_clk = clk = io.DDRBuffer("o", pins.clk)
        m.submodules.sdram_dq = dq = io.DDRBuffer("io", pins.dq)
        m.d.comb += [clk.o[0].eq(0), clk.o[1].eq(1)]
        m.d.comb += [dq.o[0].eq(sdram.o), dq.o[1].eq(sdram.o), dq.oe.eq(sdram.oe), sdram.i.eq(dq.i[1])]
