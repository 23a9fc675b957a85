"""Processing element: one int8 multiply-accumulate with a double-buffered weight."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """sum_out = sum_in + activation * weight, every cycle; latency 1 cycle, one product a cycle.

    Optimised for few flip-flops: no enable, no valid; whoever feeds it knows which sums count.

    Members:
        activation  int8
        load, weight_in  `weight_in` goes to the shadow register at the end of a cycle with `load`
        swap        the shadow register becomes the weight at the end of the cycle; with `load` in the same cycle the old
                    shadow becomes the weight and the new one waits
        sum_in, sum_out  partial sums, `width` bits
    """

    def __init__(self, width: int):
        super().__init__(
            {
                "activation": In(signed(8)),
                "load": In(1),
                "weight_in": In(signed(8)),
                "swap": In(1),
                "sum_in": In(signed(width)),
                "sum_out": Out(signed(width)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        shadow = Signal(signed(8))
        weight = Signal(signed(8))
        with m.If(self.load):
            m.d.sync += shadow.eq(self.weight_in)
        with m.If(self.swap):
            m.d.sync += weight.eq(shadow)
        m.d.sync += self.sum_out.eq(self.sum_in + self.activation * weight)
        return m
