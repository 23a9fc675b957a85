"""UART, link and flash reader behind registered pins, without an accelerator: what the flash reader streams is the ofmap."""

from amaranth import ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from deeplock.fpga.gateware.flash import FlashReader
from deeplock.fpga.gateware.link import Link
from deeplock.fpga.gateware.uart import UartReceiver, UartTransmitter
from deeplock.hw.control.registers import RegisterFile
from deeplock.pymodel.spec.config import Config

__all__ = ["BAUD", "HALF_PERIOD_NS", "Loop", "divider"]

HALF_PERIOD_NS = 21
_CLOCK = 1e9 / (2 * HALF_PERIOD_NS)
BAUD = _CLOCK / 8


def divider(config: Config) -> int:
    """Both are tested, each with one size of beat."""
    return 1 if config.bytes_per_beat == 4 else 2


class Loop(wiring.Component):
    """The link's timeout is made for a clock of 200 kHz, so that it is 2,048 cycles."""

    def __init__(self, config: Config):
        self._config = config
        pins = {"cs_n": Out(1), "sck": Out(1), "o": Out(4), "oe": Out(4), "i": In(4)}
        super().__init__({"rx": In(1, init=1), "tx": Out(1)} | pins)

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.receiver = receiver = UartReceiver(_CLOCK, BAUD)
        m.submodules.transmitter = transmitter = UartTransmitter(_CLOCK, BAUD)
        m.submodules.link = link = Link(config, 200_000, "loop")
        m.submodules.registers = registers = RegisterFile(config)
        m.submodules.reader = reader = FlashReader(_CLOCK, config.bytes_per_beat, divider(config))
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), reader.stop.eq(link.reset)]
        connect(m, receiver.bytes, link.rx)
        connect(m, link.tx, transmitter.bytes)
        connect(m, link.flash, reader.request)
        connect(m, link.registers, registers.s_axil)
        m.d.comb += [
            link.ofmap.valid.eq(reader.loadable.valid),
            link.ofmap.payload.data.eq(reader.loadable.payload.data),
            link.ofmap.payload.last.eq(reader.loadable.payload.last),
            link.ofmap.payload.keep.eq(-1),
            reader.loadable.ready.eq(link.ofmap.ready),
        ]
        spi, sck = reader.spi, Signal()
        m.d.sync += [self.cs_n.eq(~spi.cs), self.o.eq(spi.o), self.oe.eq(spi.oe), spi.i.eq(self.i), sck.eq(spi.sck)]
        m.d.comb += self.sck.eq(sck & ~ClockSignal() if divider(config) == 1 else sck)
        return m
