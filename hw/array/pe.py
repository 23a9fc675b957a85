"""Processing elements: int8 multiply-accumulate with a double-buffered weight."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.multiplier import DualMultiplier

__all__ = ["ProcessingPair"]


class ProcessingPair(wiring.Component):
    """Two processing elements side by side: sums_out[i] = sums_in[i] + activation * weight[i].

    Latency: 3 cycles from `activation`, 1 from `sums_in`; with `first` 2 cycles from `activation`. Throughput: two products a
    cycle. Optimised for few flip-flops: no enable, no valid, no reset; its user knows which sums are valid.

    first       they begin their columns: without adders, `sums_in` is ignored
    in_blocks   as in hw.array.multiplier.DualMultiplier

    Members:
        activation  int8, for both
        load, weights_in  with `load`, `weights_in` go to the shadow registers at the end of the cycle
        swap        the shadow weights become the weights, from this cycle's activation on; with `load` in the same cycle the
                    old shadow weights do, and the new ones wait
        sums_in, sums_out  partial sums, `width` bits
    """

    def __init__(self, width: int, first: bool = False, in_blocks: bool = False):
        self._first = first
        self._in_blocks = in_blocks
        pair = data.ArrayLayout(signed(8), 2)
        sums = data.ArrayLayout(signed(width), 2)
        super().__init__(
            {
                "activation": In(signed(8)),
                "load": In(1),
                "weights_in": In(pair),
                "swap": In(1),
                "sums_in": In(sums),
                "sums_out": Out(sums),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = DualMultiplier(self._in_blocks)
        shadows = Signal.like(self.weights_in, reset_less=True)
        with m.If(self.load):
            m.d.sync += shadows.eq(self.weights_in)
        m.d.comb += [
            multiplier.activation.eq(self.activation),
            multiplier.weights.eq(shadows),
            multiplier.swap.eq(self.swap),
        ]
        if self._first:
            m.d.comb += [self.sums_out[i].eq(multiplier.products[i]) for i in range(2)]
            return m
        sums = Signal.like(self.sums_out, reset_less=True)
        m.d.sync += [sums[i].eq(self.sums_in[i] + multiplier.products[i]) for i in range(2)]
        m.d.comb += self.sums_out.eq(sums)
        return m
