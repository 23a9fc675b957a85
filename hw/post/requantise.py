"""Requantiser: accumulators to int8."""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.multiplier import Multiplier
from deeplock.hw.basics.layouts import entry_layout

__all__ = ["Requantiser", "steps_of"]

_MULTIPLIER_BITS = 16


def _differs(bits: Value, sign: Value) -> Value:
    """Which bits are not a copy of the sign; one for each group of three, which is one LUT4."""
    groups = [bits[start : start + 3] for start in range(0, len(bits), 3)]
    return Cat(group != sign.replicate(len(group)) for group in groups)


def _any(parts: list[Value], index: Value) -> Value:
    """Whether a flag is up that counts: those of parts[i] count for an index up to i."""
    return Cat((index <= most) & part.any() for most, part in enumerate(parts)).any()


def steps_of(multiplier_cycles: int) -> int:
    """Latency of a Requantiser."""
    return 5 if multiplier_cycles == 1 else 3


class Requantiser(wiring.Component):
    """q = clamp((((accumulator + bias) * m + (1 << (s - 1))) >> s) + zero_point, floor, hi); m = 2**15 + entry.multiplier.

    The sum wraps to `sum_bits` bits, or to 24 with `narrow`. Any s in 1..64 is exact; the compiler makes 1..47.

    It works in steps of `multiplier_cycles` cycles: 1 multiplies with `*`, for devices with multipliers; 2, 4, 8 and 16 take 8,
    4, 2 and 1 bits of the multiplier a cycle, with an adder of sum_bits + 1 bits for each. No register has a reset: whoever
    feeds it knows which results count.

    Latency: `steps` steps to `out`, 5 with one cycle and 3 with more. Throughput: one value a step; it cannot be stalled.

    in_blocks   as of hw.array.multiplier.Multiplier

    Members:
        advance             in the last cycle of each step, that is every `multiplier_cycles`-th cycle
        accumulator, entry  what is requantised and how, taken with `advance`
        narrow, zero_point, hi   of the layer: constant while its values are inside; with 24 sum_bits `narrow` has no effect
        floor               of the value at `out`: the layer's least result, or the largest of its pooling window so far
        out                 int8, combinational from `floor` and `hi`
    """

    def __init__(self, multiplier_cycles: int = 1, sum_bits: int = 32, in_blocks: bool = False):
        self._cycles = multiplier_cycles
        self._in_blocks = in_blocks
        self._sum_bits = sum_bits
        self.steps = steps_of(multiplier_cycles)
        super().__init__(
            {
                "advance": In(1),
                "accumulator": In(signed(sum_bits)),
                "entry": In(entry_layout(sum_bits)),
                "narrow": In(1),
                "zero_point": In(signed(8)),
                "hi": In(signed(8)),
                "floor": In(signed(8)),
                "out": Out(signed(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        added = (self.accumulator + self.entry.bias)[: self._sum_bits].as_signed()
        if self._sum_bits > 24:
            added = Mux(self.narrow, added[:24].as_signed(), added)
        multiply = self._multiply if self._cycles == 1 else self._multiply_in_cycles
        product, sign, shift = multiply(m, added)

        # From here on a bit says whether it differs from the sign, so that shifts bring zeros in. iCE40's flip-flops make
        # them by their reset, if there is no other: `coarse` has none. Of product >> (s - 1) nine bits are enough: beyond
        # them, half of it is beyond -256..255, and so with any zero point beyond int8. Shifts by 16 come first, then by 4,
        # then by 1. What the first one loses is looked at in two halves, three bits and the sign in one LUT4, so that little
        # follows the multiplier.
        coarse, negative, rest = Signal(24, reset_less=True), Signal(reset_less=True), Signal.like(shift)
        zero_point = Signal(8, reset_less=True)
        parts = [_differs(part, sign) for part in (product[24:40], product[40:])]
        lost = [Signal(len(part), name=f"lost_{number}", reset_less=True) for number, part in enumerate(parts)]
        with m.If(self.advance):
            m.d.sync += coarse.eq(Mux(shift[4], product[16:40], product[:24]) ^ sign.replicate(24))
            with m.If(shift[5]):
                m.d.sync += coarse.eq(Mux(shift[4], 0, product[32:] ^ sign.replicate(len(product) - 32)))
            m.d.sync += [flags.eq(part) for flags, part in zip(lost, parts, strict=True)]
            m.d.sync += [negative.eq(sign), rest.eq(shift), zero_point.eq(self.zero_point ^ sign.replicate(8))]
        middle = (coarse >> (4 * rest[2:4]))[:12]
        low = (middle >> rest[:2])[:9]
        too_large = (
            _any(lost, rest[4:])
            | _any([coarse[at : at + 4] for at in (12, 16, 20)], rest[2:4])
            | _any([middle[at] for at in (9, 10, 11)], rest[:2])
        )

        if self._cycles > 1:  # a register on the way: what it is made of stays for the cycles of a step
            low_kept, too_large_kept = Signal(9, reset_less=True), Signal(reset_less=True)
            m.d.sync += [low_kept.eq(low), too_large_kept.eq(too_large)]
            low, too_large = low_kept, too_large_kept

        # (low + 1) >> 1 is half of it, rounded, whatever the sign
        placed = Signal(signed(10))
        m.d.comb += placed.eq((low + Cat(Const(1), zero_point).as_signed()) >> 1)
        inverted = Signal(signed(8), reset_less=True)  # what it is in int8, inverted: so additions compare it
        beyond, below = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.advance):
            m.d.sync += [
                inverted.eq(~(placed[:8] ^ negative.replicate(8))),
                beyond.eq(too_large | (~placed[9] & placed[7:9].any())),
                below.eq(negative),
            ]
        less = ~(self.floor + inverted)[-1]
        more = (self.hi + inverted)[-1]  # or equal
        with m.If(Mux(beyond, below, less)):
            m.d.comb += self.out.eq(self.floor)
        with m.Elif(beyond | more):
            m.d.comb += self.out.eq(self.hi)
        with m.Else():
            m.d.comb += self.out.eq(~inverted)
        return m

    def _multiply(self, m: Module, added: Value) -> tuple[Value, Value, Value]:
        """The product in a register, its sign and its shift. Its halves come first, one DSP block each."""
        halves = Cat(added[:16], 0), added[16:]
        factor = Cat(self.entry.multiplier, 1, 0)
        products = []
        for name, half in zip(("low", "high"), halves, strict=True):
            m.submodules[name] = multiplier = Multiplier(len(half), len(factor), self._in_blocks)
            m.d.comb += [multiplier.a.eq(half), multiplier.b.eq(factor)]
            products.append(multiplier.product)
        product = Signal(signed(self._sum_bits + _MULTIPLIER_BITS), reset_less=True)
        m.d.sync += product.eq(products[0] + (products[1] << 16))
        shift: Value = self.entry.shift_1
        for stage in range(3):
            delayed = Signal(6, name=f"shift_{stage}", reset_less=True)
            m.d.sync += delayed.eq(shift)
            shift = delayed
        return product, product[-1], shift

    def _multiply_in_cycles(self, m: Module, added: Value) -> tuple[Value, Value, Value]:
        """The product in the last cycle of the step, its sign and its shift."""
        total = Signal(signed(self._sum_bits), reset_less=True)
        shift = Signal(6, reset_less=True)
        with m.If(self.advance):
            m.d.sync += [total.eq(added), shift.eq(self.entry.shift_1)]
        high = Signal(signed(self._sum_bits), reset_less=True)
        # from below the rest of the multiplier leaves, from above the product enters
        low = Signal(_MULTIPLIER_BITS, reset_less=True)
        bits, rest = [], high
        rows = _MULTIPLIER_BITS // self._cycles
        for row in range(rows):
            added = Signal(signed(self._sum_bits + 1), name=f"row_{row}")
            m.d.comb += added.eq(Mux(low[row], rest + total, rest))
            bits.append(added[0])
            rest = added[1:].as_signed()
        product = Cat(low[rows:], *bits, rest)
        with m.If(self.advance):
            m.d.sync += [high.eq(0), low.eq(Cat(self.entry.multiplier, 1))]
        with m.Else():
            m.d.sync += Cat(low, high).eq(product)
        return product, total[-1], shift
