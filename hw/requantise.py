"""Requantiser: one int32 accumulator a cycle to int8."""

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Entry

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """q = clamp((((accumulator + bias) * m + (1 << (s - 1))) >> s) + zero_point, lo, hi); m = 2**15 + entry.multiplier.

    The sum wraps to 32 bits, or to 24 with `narrow`. Any s in 1..64 is exact; the compiler makes 1..47.

    Latency: `LATENCY` = 5 cycles. Throughput: one value a cycle; it cannot be stalled.

    Members:
        accumulator, entry         what is requantised and how: new ones every cycle
        narrow, zero_point, lo, hi of the layer: constant while its values are inside
        out                        int8
    """

    LATENCY = 5

    def __init__(self):
        super().__init__(
            {
                "accumulator": In(signed(32)),
                "entry": In(Entry),
                "narrow": In(1),
                "zero_point": In(signed(8)),
                "lo": In(signed(8)),
                "hi": In(signed(8)),
                "out": Out(signed(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        total = Signal(signed(32))
        multiplier = Signal(15)
        shift = Signal(6)
        added = (self.accumulator + self.entry.bias)[:32]
        m.d.sync += [
            total.eq(Mux(self.narrow, added[:24].as_signed(), added.as_signed())),
            multiplier.eq(self.entry.multiplier),
            shift.eq(self.entry.shift_1),
        ]

        product = Signal(signed(48))
        product_shift = Signal(6)
        factor = Signal(signed(17))
        m.d.comb += factor.eq(multiplier | 0x8000)
        m.d.sync += [product.eq(total * factor), product_shift.eq(shift)]

        coarse = Signal(signed(48))
        fine = Signal(3)
        m.d.sync += [coarse.eq(product >> (product_shift & 0b111000)), fine.eq(product_shift)]

        # int10 holds every value that the clamp below can tell apart: |zero_point| <= 128
        scaled = Signal(signed(48))
        rounded = Signal(signed(10))
        m.d.comb += scaled.eq(coarse >> fine)
        high = scaled[9:]
        with m.If(~scaled[-1] & high.any()):
            m.d.sync += rounded.eq(Const(511, signed(10)))
        with m.Elif(scaled[-1] & ~high.all()):
            m.d.sync += rounded.eq(Const(-512, signed(10)))
        with m.Else():
            m.d.sync += rounded.eq((scaled[:10].as_signed() + 1) >> 1)

        placed = Signal(signed(11))
        m.d.comb += placed.eq(rounded + self.zero_point)
        with m.If(placed < self.lo):
            m.d.sync += self.out.eq(self.lo)
        with m.Elif(placed > self.hi):
            m.d.sync += self.out.eq(self.hi)
        with m.Else():
            m.d.sync += self.out.eq(placed)
        return m
