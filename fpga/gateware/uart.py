"""UART receiver and transmitter: 8 data bits, no parity, one stop bit, least significant bit first."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "divisor"]

_LEAST_DIVISOR = 4
_TOLERANCE = 0.02


def divisor(clock_hz: float, baud: float) -> int:
    """Clock cycles per bit.

    Raises:
        ValueError: fewer than 4, or the nearest number misses the baud rate by more than 2 %.
    """
    cycles = round(clock_hz / baud)
    if cycles < _LEAST_DIVISOR:
        raise ValueError(f"the clock must be at least {_LEAST_DIVISOR} times the baud rate, not {clock_hz / baud:.2f}")
    error = abs(clock_hz / cycles / baud - 1)
    if error > _TOLERANCE:
        raise ValueError(f"{clock_hz:.0f} Hz / {cycles} must be within 2 % of {baud:.0f} baud, not {100 * error:.1f} %")
    return cycles


class UartReceiver(wiring.Component):
    """Samples the line in the middle of each bit.

    A start bit that is over by its middle is ignored as a glitch. A byte without its stop bit is dropped, and the next one
    begins after the line was high again. Latency: 3 cycles from the middle of the stop bit. Throughput: bytes without a gap,
    from senders whose baud rate is within 2 % of this one.

    Members:
        rx      the line, asynchronous
        bytes   each valid for one cycle, without back-pressure
    """

    def __init__(self, clock_hz: float, baud: float):
        self._divisor = divisor(clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        left = Signal(range(self._divisor))  # cycles until the next sample
        sample = left == 0
        bits = Signal(9)  # a one ahead of the data reaches bit 0 with the last data bit
        m.d.comb += self.bytes.payload.eq(bits[1:])
        m.d.sync += [left.eq(left - 1), self.bytes.valid.eq(0)]
        with m.If(sample):
            m.d.sync += left.eq(self._divisor - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += left.eq(self._divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += bits.eq(1 << 8)
                with m.If(sample):
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "DATA"
            with m.State("DATA"):
                with m.If(sample & ~bits[0]):
                    m.d.sync += bits.eq(Cat(bits[1:], line))
                with m.If(sample & bits[0]):
                    m.d.sync += self.bytes.valid.eq(line)
                    m.next = "STOP"
            with m.State("STOP"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes.

    Latency: the start bit begins in the cycle after a byte was taken. Throughput: a byte every 10 bits and a cycle.

    Members:
        bytes   to send
        tx      the line, registered
    """

    def __init__(self, clock_hz: float, baud: float):
        self._divisor = divisor(clock_hz, baud)
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        left = Signal(range(self._divisor))  # cycles until the next bit
        bits = Signal(11, init=1)  # the bits still to be sent, and a one behind them
        m.d.comb += [self.tx.eq(bits[0]), self.bytes.ready.eq(~bits[1:].any())]
        m.d.sync += left.eq(left - 1)
        with m.If(self.bytes.ready):
            m.d.sync += left.eq(self._divisor - 1)
            with m.If(self.bytes.valid):
                m.d.sync += bits.eq(Cat(0, self.bytes.payload, 1, 1))
        with m.Elif(left == 0):
            m.d.sync += [left.eq(self._divisor - 1), bits.eq(bits >> 1)]
        return m
