"""Multipliers with registered operands and products, as in DSP blocks."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.families import blocks_of

__all__ = ["DualMultiplier", "Multiplier"]


class Multiplier(wiring.Component):
    """product = a * b, signed, operands of at most 18 bits; registers have no reset.

    Latency: 2 cycles. Throughput: a product a cycle.

    in_blocks   use a DSP block, if the device family has one for it (hw.families)
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
    """products[i] = activation * weights[i], int8: for a pair of processing elements; one SB_MAC16 can do it.

    Latency: 2 cycles. Throughput: two products a cycle. Registers have no reset.

    in_blocks   use one or two DSP blocks, registers included, if the device family has them (hw.families)

    Members:
        activation   int8, taken in every cycle
        weights      two int8, taken in cycles with `swap`
        products     of the operands held one cycle ago
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
        # kept: synthesis would merge those of a row into one, far from most of its multipliers
        activation = Signal(signed(8), attrs={"keep": 1}, reset_less=True)
        weights, products = (Signal.like(value, reset_less=True) for value in (self.weights, self.products))
        m.d.sync += activation.eq(self.activation)
        with m.If(self.swap):
            m.d.sync += weights.eq(self.weights)
        m.d.sync += [products[i].eq(activation * weights[i]) for i in range(2)]
        m.d.comb += self.products.eq(products)
        return m
