"""Two int8 products, operands and products in registers: what a pair of processing elements needs, and one SB_MAC16 gives."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw import ice40

__all__ = ["DualMultiplier"]


class DualMultiplier(wiring.Component):
    """products[i] = activation * weights[i], each operand and each product through a register.

    Latency: 2 cycles. Throughput: two products a cycle. On iCE40 UltraPlus it is one SB_MAC16, registers included; there a
    reset clears the registers one cycle later than elsewhere, and `swap` must be low in the cycle after it.

    Members:
        activation   int8, taken in every cycle
        weights      two int8, taken in cycles with `swap`
        products     of the operands that were taken last but one cycle ago
    """

    def __init__(self):
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
        if ice40.has_hard_blocks(platform):
            # high after every reset of this component, so that the hard registers go with the others
            cleared = Signal(init=1)
            m.d.sync += cleared.eq(0)
            m.submodules.mac16 = ice40.dual_multiplier(
                Cat(self.activation, self.activation), self.weights.as_value(), ~self.swap, cleared,
                self.products.as_value(),
            )  # fmt: skip
            return m
        # kept, so that synthesis does not merge those of a row: the one left would be far from most of its multipliers
        activation = Signal(signed(8), attrs={"keep": 1}, reset_less=True)
        weights = Signal.like(self.weights)
        m.d.sync += activation.eq(self.activation)
        with m.If(self.swap):
            m.d.sync += weights.eq(self.weights)
        m.d.sync += [self.products[i].eq(activation * weights[i]) for i in range(2)]
        return m
