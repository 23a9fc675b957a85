"""The system behind every board's pins: accelerator, host link, flash reader, loadable caches."""

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.fpga.gateware.flash import FlashReader, SpiPins
from deeplock.fpga.gateware.link import Link
from deeplock.fpga.gateware.loadable_cache import LoadableCache
from deeplock.fpga.gateware.sdram import Sdram, SdramPins
from deeplock.fpga.gateware.sdram_cache import SdramCache
from deeplock.fpga.gateware.uart import UartReceiver, UartTransmitter
from deeplock.hw.accelerator import Accelerator
from deeplock.hw.basics.axi import receive, transmit
from deeplock.pymodel.spec.config import Config

__all__ = ["System"]


class System(wiring.Component):
    """The accelerator on a board: the host on a UART, the locked loadable in a SPI flash. Simulate it as Verilog: in
    Amaranth's simulator the accelerator's clock comes a delta cycle after the system's.

    config         of the accelerator
    clock_hz       of the whole system
    baud           of the UART
    board          name in the answer to INFO
    divider        system cycles per flash clock, 1 or 2: see fpga.gateware.flash.SpiPins
    cache_bytes    bytes of the loadable cache in block RAM, 0 for none
    lines          data lines of the flash
    sdram          the board has one, for loadables that are larger

    Members:
        rx, tx    UART lines
        spi       the flash
        sdram     with `sdram`
    """

    def __init__(
        self,
        config: Config,
        clock_hz: int,
        baud: int,
        board: str,
        divider: int,
        cache_bytes: int,
        lines: int,
        sdram: bool = False,
    ):
        self._config, self._clock_hz, self._baud, self._board = config, clock_hz, baud, board
        self._divider, self._cache_bytes, self._lines, self._sdram = divider, cache_bytes, lines, sdram
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "spi": Out(SpiPins())}
            | ({"sdram": Out(SdramPins())} if sdram else {})
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.receiver = receiver = UartReceiver(self._clock_hz, self._baud)
        m.submodules.transmitter = transmitter = UartTransmitter(self._clock_hz, self._baud)
        m.submodules.link = link = Link(config, self._clock_hz, self._board)
        # the accelerator is large, so its reset has its own register
        m.domains.core = domain = ClockDomain(local=True)
        core = Accelerator(config)
        m.submodules.core = DomainRenamer("core")(core)
        reset = Signal(init=1)
        m.d.sync += reset.eq(link.reset)
        m.d.comb += [domain.clk.eq(ClockSignal()), domain.rst.eq(reset)]
        m.submodules.flash_reader = reader = FlashReader(
            self._clock_hz, config.bytes_per_beat, self._divider, self._lines
        )

        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        connect(m, receiver.bytes, link.rx)
        connect(m, link.tx, transmitter.bytes)
        connect(m, reader.spi, flipped(self.spi))

        connect(m, link.registers, core.s_axil)
        transmit(m, link.ifmap, core.s_axis_ifmap)
        receive(m, core.m_axis_ofmap, link.ofmap)
        # each cache is to the one before it what the flash reader is to the last one
        source, stop, loadable = reader.request, reader.stop, reader.loadable
        caches: dict[str, SdramCache | LoadableCache] = {}
        if self._sdram:
            caches["sdram_cache"] = sdram = SdramCache(config.bytes_per_beat, Sdram(self._clock_hz))
            connect(m, sdram.pins, flipped(self.sdram))
        if self._cache_bytes:
            caches["loadable_cache"] = LoadableCache(config.bytes_per_beat, self._cache_bytes)
        for name, cache in caches.items():
            m.submodules[name] = cache
            connect(m, cache.flash, source)
            connect(m, loadable, cache.beats)
            m.d.comb += stop.eq(cache.stop_flash)
            source, stop, loadable = cache.request, cache.stop, cache.loadable
        connect(m, link.flash, source)
        m.d.comb += stop.eq(link.reset)
        transmit(m, loadable, core.s_axis_loadable)
        return m
