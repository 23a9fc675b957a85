"""A board's whole design: the system behind the board's pins."""

from amaranth import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth.lib import io

from deeplock.fpga.boards import Board
from deeplock.fpga.flow.devices import DEVICES
from deeplock.fpga.gateware.clocks import Ecp5Clock, Ice40Clock
from deeplock.fpga.gateware.pin_platform import PinPlatform
from deeplock.fpga.gateware.system import System

__all__ = ["Top"]

# amaranth-boards has these with handshake pins, and with one data pin each way; the flash's clock is no pin but USRMCLK
_ULX3S_UART = Resource(
    "uart_2_pins", 0,
    Subsignal("rx", Pins("M1", dir="i")),
    Subsignal("tx", Pins("L4", dir="o")),
    Attrs(IO_TYPE="LVCMOS33"),
)  # fmt: skip
_ULX3S_FLASH = Resource(
    "spi_flash_4x", 0,
    Subsignal("cs", PinsN("R2", dir="o")),
    Subsignal("dq", Pins("W2 V2 Y2 W1", dir="io")),
    Attrs(PULLMODE="NONE", DRIVE="4", IO_TYPE="LVCMOS33"),
)  # fmt: skip


class Top(Elaboratable):
    """`System` with clock, UART pins and flash pins of a board. Elaborate it with the board's platform.

    with_pll   make domain `sync` by the board's PLL; else it comes from outside
    """

    def __init__(self, board: Board, with_pll: bool = True):
        self._board, self._with_pll = board, with_pll

    def elaborate(self, platform) -> Module:
        m = Module()
        board = self._board
        ecp5 = DEVICES[board.device].family == "ecp5"
        if self._with_pll:
            m.domains.sync = ClockDomain()
            m.submodules.clock = (Ecp5Clock if ecp5 else Ice40Clock)(board.clock_hz)
        m.submodules.system = system = System(
            board.config, board.clock_hz, board.baud, board.name, board.divider, board.cache_bytes
        )
        own = ecp5 and not isinstance(platform, PinPlatform)
        if own:
            platform.add_resources([_ULX3S_UART, _ULX3S_FLASH])
        uart = platform.request("uart_2_pins" if own else "uart", dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx)]
        self._flash(m, platform, system.spi, own)
        return m

    def _flash(self, m: Module, platform, spi, on_usrmclk: bool) -> None:
        """Every pin behind a register of its own, the clock as fpga.gateware.flash.SpiPins says."""
        names = ("cs", "dq") if on_usrmclk else ("cs", "clk", "dq")
        pins = platform.request("spi_flash_4x", dir=dict.fromkeys(names, "-"))
        if self._board.divider == 1 and isinstance(platform, PinPlatform):
            pulse = Signal()
            m.d.sync += pulse.eq(spi.sck)
            m.d.comb += pins.clk.o.eq(pulse & ~ClockSignal())
        elif self._board.divider == 1:
            m.submodules.sck = sck = io.DDRBuffer("o", pins.clk)
            m.d.comb += [sck.o[0].eq(0), sck.o[1].eq(spi.sck)]
        elif on_usrmclk:
            level = Signal(name="usrmclk")
            m.d.sync += level.eq(spi.sck)
            # it drives no net, for which Yosys would take it away
            m.submodules.sck = Instance("USRMCLK", a_keep=1, i_USRMCLKI=level, i_USRMCLKTS=Const(0))
        else:
            m.submodules.sck = sck = io.FFBuffer("o", pins.clk)
            m.d.comb += sck.o.eq(spi.sck)
        m.submodules.cs = cs = io.FFBuffer("o", pins.cs)
        m.d.comb += cs.o.eq(spi.cs)
        for index in range(4):
            m.submodules[f"dq_{index}"] = dq = io.FFBuffer("io", pins.dq[index])
            m.d.comb += [dq.o.eq(spi.o[index]), dq.oe.eq(spi.oe[index]), spi.i[index].eq(dq.i)]
