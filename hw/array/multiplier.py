"""Multipliers with operands and products in registers, as DSP blocks have them."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.families import blocks_of

__all__ = ["DualMultiplier", "Multiplier"]


class Multiplier(wiring.Component):
    """product = a * b, signed, of a_bits and b_bits, 18 at most; none of its registers has a reset.

    Latency: 2 cycles. Throughput: a product a cycle.

    in_blocks   it is a block of the device, if that has one for it (hw.families)
    """

    def __init__(self, a_bits: int, b_bits: int, in_blocks: bool = False):
        self._in_blocks = in_blocks
        super().__init__({"a": In(signed(a_bits)), "b": In(signed(b_bits)), "product": Out(signed(a_bits + b_bits))})

    def elaborate(self, platform) -> Module:
        m = Module()
        if self._in_blocks and blocks_of(platform).multiplier(m, self.a, self.b, self.product):
            return m
        a, b = Signal.like(self.a, reset_less=True), Signal.like(self.b, reset_less=True)
        product = Signal.like(self.product, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.comb += self.product.eq(product)
        return m


class DualMultiplier(wiring.Component):
    """products[i] = activation * weights[i], int8: what a pair of processing elements needs, and one SB_MAC16 gives.

    Latency: 2 cycles. Throughput: two products a cycle. None of the registers has a reset.

    in_blocks   it is one block of the device or two, if that has some for it (hw.families), registers included

    Members:
        activation   int8, taken in every cycle
        weights      two int8, taken in cycles with `swap`
        products     of the operands that were taken last but one cycle ago
    """

    def __init__(self, in_blocks: bool = False):
        self._in_blocks = in_blocks
        super().__init__(
            {
                "activation": In(signed(8)),
                "weights": In(data.ArrayLayout(signed(8), 2)),
                "swap": In(1),
                "products": Out(data.ArrayLayout(signed(16), 2)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        operands = self.activation, self.weights, self.swap, self.products
        if self._in_blocks and blocks_of(platform).dual_multiplier(m, *operands):
            return m
        # kept, so that synthesis does not merge those of a row: the one left would be far from most of its multipliers
        activation = Signal(signed(8), attrs={"keep": 1}, reset_less=True)
        weights, products = (Signal.like(value, reset_less=True) for value in (self.weights, self.products))
        m.d.sync += activation.eq(self.activation)
        with m.If(self.swap):
            m.d.sync += weights.eq(self.weights)
        m.d.sync += [products[i].eq(activation * weights[i]) for i in range(2)]
        m.d.comb += self.products.eq(products)
        return m
