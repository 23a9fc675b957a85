"""Requantiser: accumulators to int8."""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.multiplier import Multiplier
from deeplock.hw.basics.layouts import entry_layout

__all__ = ["Requantiser", "steps_of"]

_MULTIPLIER_BITS = 16


def _differs(bits: Value, sign: Value) -> Value:
    """Whether bits differ from the sign: one flag, and one LUT4, for each group of three."""
    groups = [bits[start : start + 3] for start in range(0, len(bits), 3)]
    return Cat(group != sign.replicate(len(group)) for group in groups)


def _any(parts: list[Value], index: Value) -> Value:
    """Whether any flag that counts is set; those of parts[i] count if index <= i."""
    return Cat((index <= most) & part.any() for most, part in enumerate(parts)).any()


def steps_of(multiplier_cycles: int, products: bool = False) -> int:
    """Latency of a Requantiser, in steps."""
    return (7 if multiplier_cycles == 1 else 3) + 2 * products


class Requantiser(wiring.Component):
    """q = clamp((((accumulator + bias) * m + (1 << (s - 1))) >> s) + zero_point, lo, hi); m = 2**15 + entry.multiplier.

    The sum wraps to `sum_bits` bits, or to 24 with `narrow`. Any s in 1..64 is exact; the compiler uses 1..47.

    It works in steps of `multiplier_cycles` cycles. 1 multiplies with `*`, for devices with multipliers. 2, 4, 8 and 16 take 8,
    4, 2 and 1 bits of the multiplier a cycle, each with an adder of sum_bits + 1 bits. Registers have no reset: its user knows
    which results are valid.

    With `products` it may take the sum for two bytes p and q, its lowest ones, each 127 minus an int8 value, and requantise
    (127 - p - zeros[0]) * (127 - q - zeros[1]) in its place.

    Latency: `steps` steps to `out`, 7 of one cycle or 3 of more; 2 more with `products`. Throughput: one value a step; it
    cannot be stalled.

    in_blocks   as in hw.array.multiplier.Multiplier

    Members:
        advance             high in the last cycle of each step, every `multiplier_cycles`-th cycle
        accumulator, entry  what is requantised and how, taken with `advance`
        narrow, zero_point, lo, hi   of the layer: constant while its values are inside; `narrow` has no effect if sum_bits
                            is 24
        multiplies, zeros   of the layer, as `narrow`, with `products`: it takes sums for two bytes, with these zero points
        out                 int8; with steps of more cycles combinational from `lo` and `hi`
    """

    def __init__(self, multiplier_cycles: int = 1, sum_bits: int = 32, in_blocks: bool = False, products: bool = False):
        self._cycles = multiplier_cycles
        self._in_blocks = in_blocks
        self._sum_bits = sum_bits
        self._products = products
        self.steps = steps_of(multiplier_cycles, products)
        super().__init__(
            {
                "advance": In(1),
                "accumulator": In(signed(sum_bits)),
                "entry": In(entry_layout(sum_bits)),
                "narrow": In(1),
                "zero_point": In(signed(8)),
                "lo": In(signed(8)),
                "hi": In(signed(8)),
                "out": Out(signed(8)),
            }
            | ({"multiplies": In(1), "zeros": In(data.ArrayLayout(signed(8), 2))} if products else {})
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        added = (self.accumulator + self.entry.bias)[: self._sum_bits].as_signed()
        multiply = self._multiply if self._cycles == 1 else self._multiply_in_cycles
        product, sign, shift = multiply(m, added)

        # From here on each bit is XORed with the sign, so that shifts bring in zeros. iCE40's flip-flops make these with their
        # reset, which `coarse` leaves free. Nine bits of product >> (s - 1) are enough: a larger value, halved, is outside
        # -256..255, and with any zero point outside int8. Shifts go by 16, then by 4, then by 1. The bits that the first one
        # drops are tested in two halves, three and the sign to a LUT4, so that little logic follows the multiplier.
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

        if self._cycles > 1:  # a register on the way: its inputs are stable for the cycles of a step
            low_kept, too_large_kept = Signal(9, reset_less=True), Signal(reset_less=True)
            m.d.sync += [low_kept.eq(low), too_large_kept.eq(too_large)]
            low, too_large = low_kept, too_large_kept

        # (low + 1) >> 1 is half of it, rounded, for either sign
        placed = Signal(signed(10))
        m.d.comb += placed.eq((low + Cat(Const(1), zero_point).as_signed()) >> 1)
        inverted = Signal(signed(8), reset_less=True)  # the int8 value, inverted: so comparisons are additions
        beyond, below = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.advance):
            m.d.sync += [
                inverted.eq(~(placed[:8] ^ negative.replicate(8))),
                beyond.eq(too_large | (~placed[9] & placed[7:9].any())),
                below.eq(negative),
            ]
        less = ~(self.lo + inverted)[-1]
        more = (self.hi + inverted)[-1]  # or equal
        clamped = Signal(signed(8), reset_less=True)
        domain = m.d.comb if self._cycles > 1 else m.d.sync
        with m.If(Mux(beyond, below, less)):
            domain += clamped.eq(self.lo)
        with m.Elif(beyond | more):
            domain += clamped.eq(self.hi)
        with m.Else():
            domain += clamped.eq(~inverted)
        m.d.comb += self.out.eq(clamped)
        return m

    def _narrowed(self, total: Value) -> Value:
        return Mux(self.narrow, total[:24].as_signed(), total) if self._sum_bits > 24 else total

    def _multiply(self, m: Module, added: Value) -> tuple[Value, Value, Value]:
        """The registered product, its sign and its shift. The product is the sum of two, one DSP block each."""
        # the entry comes late, from a block RAM, and the multipliers may be far away
        total = Signal(signed(self._sum_bits), reset_less=True)
        multiplier = Signal.like(self.entry.multiplier, reset_less=True)
        m.d.sync += [total.eq(added), multiplier.eq(self.entry.multiplier)]
        shift: Value = self.entry.shift_1
        if self._products:
            total, multiplier, shift = self._multiplied(m, total, multiplier, shift)
        halves = Cat(total[:16], 0), self._narrowed(total)[16:]
        factor = Cat(multiplier, 1, 0)
        products = []
        for name, half in zip(("low", "high"), halves, strict=True):
            m.submodules[name] = block = Multiplier(len(half), len(factor), self._in_blocks)
            m.d.comb += [block.a.eq(half), block.b.eq(factor)]
            products.append(block.product)
        product = Signal(signed(self._sum_bits + _MULTIPLIER_BITS), reset_less=True)
        m.d.sync += product.eq(products[0] + (products[1] << 16))
        for stage in range(4):
            delayed = Signal(6, name=f"shift_{stage}", reset_less=True)
            m.d.sync += delayed.eq(shift)
            shift = delayed
        return product, product[-1], shift

    def _multiply_in_cycles(self, m: Module, added: Value) -> tuple[Value, Value, Value]:
        """The product in the last cycle of the step, its sign and its shift."""
        multiplier, given = self.entry.multiplier, self.entry.shift_1
        if self._products:
            added, multiplier, given = self._multiplied_in_cycles(m, added)
        total = Signal(signed(self._sum_bits), reset_less=True)
        shift = Signal(6, reset_less=True)
        with m.If(self.advance):
            m.d.sync += [total.eq(self._narrowed(added)), shift.eq(given)]
        return self._in_cycles(m, total, Cat(multiplier, 1)), total[-1], shift

    def _in_cycles(self, m: Module, value: Signal, factor: Value, of: str = "") -> Value:
        """value * factor in the last cycle of a step. `value` stays for the step; `factor`, unsigned, is taken as it begins."""
        high = Signal(value.shape(), name=f"{of}high", reset_less=True)
        # the rest of the factor leaves at the bottom, the product enters at the top
        low = Signal(_MULTIPLIER_BITS, name=f"{of}low", reset_less=True)
        bits, rest = [], high
        rows = _MULTIPLIER_BITS // self._cycles
        for row in range(rows):
            added = Signal(signed(len(value) + 1), name=f"{of}row_{row}")
            m.d.comb += added.eq(Mux(low[row], rest + value, rest))
            bits.append(added[0])
            rest = added[1:].as_signed()
        product = Cat(low[rows:], *bits, rest)
        with m.If(self.advance):
            m.d.sync += [high.eq(0), low.eq(factor)]
        with m.Else():
            m.d.sync += Cat(low, high).eq(product)
        return product

    def _factors(self, total: Value) -> tuple[Value, Value]:
        """The values that a sum's bytes stand for, less their zero points: signed, 9 bits each."""
        first, second = ((total.word_select(at, 8) ^ 0x7F).as_signed() - self.zeros[at] for at in range(2))
        return first[:9].as_signed(), second[:9].as_signed()

    def _multiplied(self, m: Module, total: Value, multiplier: Value, shift: Value) -> tuple[Value, Value, Value]:
        """The same two cycles later, with `multiplies` the factors' product in place of `total`."""
        m.submodules.factors = block = Multiplier(9, 9, self._in_blocks)
        m.d.comb += Cat(block.a, block.b).eq(Cat(self._factors(total)))
        passed = Cat(total, multiplier, shift)
        for stage in range(2):
            later = Signal(len(passed), name=f"passed_{stage}", reset_less=True)
            m.d.sync += later.eq(passed)
            passed = later
        bits, end = self._sum_bits, self._sum_bits + len(multiplier)
        total = Mux(self.multiplies, block.product, passed[:bits].as_signed())
        return total, passed[bits:end], passed[end:]

    def _multiplied_in_cycles(self, m: Module, added: Value) -> tuple[Value, Value, Value]:
        """As `_multiplied`, two steps later, beside the entry's multiplier and shift. The second factor is made positive."""
        passed = Cat(added, self.entry.multiplier, self.entry.shift_1)
        given, kept = (Signal(len(passed), name=name, reset_less=True) for name in ("given", "kept"))
        first, second = self._factors(given)
        factor, negative = Signal(signed(9), reset_less=True), second[-1]
        with m.If(self.advance):
            m.d.sync += [given.eq(passed), kept.eq(given), factor.eq(Mux(negative, -first, first))]
        product = self._in_cycles(m, factor, Mux(negative, -second, second)[:8], "factors_")
        bits, end = self._sum_bits, self._sum_bits + len(self.entry.multiplier)
        total = Mux(self.multiplies, product.as_signed(), kept[:bits].as_signed())
        return total, kept[bits:end], kept[end:]
