"""The AES S-box and its inverse (FIPS-197 sections 5.1.1 and 5.3.2) computed in GF((2^4)^2) instead of looked up.

Optimised for 4-input LUTs, not for gates. An element is y = e0 * a + e1 * b, with a and b in the subfield GF(2^4)
(where x^16 = x), and its inverse is y^-1 = y^16 / y^17 = e0^16 * (a / n) + e1^16 * (b / n), where the norm n = y^17
lies in the subfield too. What remains to compute:
  - forms Tr(c * x), c != 0, of a subfield element x: the 15 nonzero linear functions GF(2^4) -> GF(2);
  - n in four bits, quadratic in the bits of a and b, and each form of 1 / n, one LUT of these four bits;
  - products, a bit of a (or b) AND a form of 1 / n, two to a LUT.
Any split (e0, e1) and any bases of forms are correct. Those below were found by search with Yosys 0.70: on iCE40 and ECP5
(-nowidelut) they take 67 and 71 LUT4 forward, 68 and 70 inverse, 79 and 85 both (tests/hw/lock/test_composite_sbox.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.pymodel.lock.sbox import SBOX, double

__all__ = ["CUTS", "DIRECTIONS", "CompositeSbox"]

DIRECTIONS = ("forward", "inverse", "both")
CUTS = ("forms", "norm")


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = double(a), b >> 1
    return product


def _power(a: int, exponent: int) -> int:
    return reduce(_multiply, [a] * exponent, 1)


_INVERSE = [_power(a, 254) for a in range(256)]
_CONJUGATE = [_power(a, 16) for a in range(256)]
_SUBFIELD = [a for a in range(256) if _CONJUGATE[a] == a]
_OFFSET = int(SBOX[0])  # S[x] = AFFINE[x^-1] ^ OFFSET, AFFINE linear over GF(2)
_AFFINE = [int(SBOX[_INVERSE[x]]) ^ _OFFSET for x in range(256)]


def _form(c: int, x: int) -> int:
    """Tr(c * x), 0 or 1, for subfield elements."""
    product = _multiply(c, x)
    return reduce(xor, [_power(product, 2**i) for i in range(4)])


def _dual(forms: tuple[int, ...]) -> list[int]:
    """The elements g with x = sum of Tr(forms[i] * x) * g[i] for every x of the subfield."""
    units = [tuple(int(i == j) for j in range(4)) for i in range(4)]
    return [next(x for x in _SUBFIELD if tuple(_form(c, x) for c in forms) == unit) for unit in units]


@dataclass(frozen=True)
class _Choice:
    """The free choices. Every set of forms is a basis.

    split     (e0, e1)
    scale     the inverse S-box inverts scale * x instead of x
    inputs    the forms that represent a, and b
    norm      the forms that represent n
    products  the forms of a / n, and of b / n, that are computed
    """

    split: tuple[int, int]
    scale: int
    inputs: tuple[tuple[int, ...], tuple[int, ...]]
    norm: tuple[int, ...]
    products: tuple[tuple[int, ...], tuple[int, ...]]


_CHOICES = {
    "forward": _Choice(
        split=(5, 10),
        scale=1,
        inputs=((237, 236, 80, 13), (188, 92, 237, 236)),
        norm=(13, 176, 188, 225),
        products=((12, 13, 188, 236), (80, 81, 176, 236)),
    ),
    "inverse": _Choice(
        split=(1, 6),
        scale=1,
        inputs=((93, 92, 237, 189), (237, 189, 81, 13)),
        norm=(1, 80, 92, 224),
        products=((81, 92, 224, 225), (12, 81, 188, 236)),
    ),
    "both": _Choice(
        split=(5, 10),
        scale=34,
        inputs=((188, 236, 92, 81), (188, 92, 80, 189)),
        norm=(80, 93, 177, 189),
        products=((12, 80, 177, 188), (13, 80, 81, 236)),
    ),
}


class CompositeSbox(wiring.Component):
    """The AES S-box or its inverse, of one byte. Latency: a cycle for each of its `cuts`. Throughput: a byte a cycle.

    Arguments
    ---------
    direction : "forward" | "inverse" | "both"
        Which S-box; `both` shares one inversion.
    cuts : some of "forms", "norm"
        Where registers are: after the forms of a and b (these 8 bits); after the norm (its 4 bits and these 8).

    Members
    -------
    input : In(8)
    output : Out(8)
    inverse : In(1)
        Only with direction `both`: take the inverse S-box, from input to output.
    en : In(1)
        Only with cuts: registers hold their value while it is low.
    clear : In(1)
        Only with cuts: registers read 0 in the next cycle; overrides `en`.

    Raises
    ------
    ValueError
        For an unknown direction or cut.
    """

    def __init__(self, direction: str, cuts: Sequence[str] = ()):
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be forward, inverse or both, not {direction}")
        if not set(cuts) <= set(CUTS):
            raise ValueError(f"cuts must be some of {CUTS}, not {tuple(cuts)}")
        self._direction = direction
        self._cuts = cuts
        super().__init__(
            {"input": In(8), "output": Out(8)}
            | ({"inverse": In(1)} if direction == "both" else {})
            | ({"en": In(1), "clear": In(1)} if cuts else {})
        )

    def _select(self, forward: Value, inverse: Value) -> Value:
        if self._direction == "both":
            return Mux(self.inverse, inverse, forward)
        return forward if self._direction == "forward" else inverse

    def elaborate(self, platform) -> Module:
        m = Module()
        choice = _CHOICES[self._direction]
        parts = {
            _multiply(choice.split[0], a) ^ _multiply(choice.split[1], b): (a, b) for a in _SUBFIELD for b in _SUBFIELD
        }
        undo_affine = [_AFFINE.index(1 << bit) for bit in range(8)]

        def registered(value: Value) -> Signal:
            register = Signal.like(value, name_suffix="_cut", reset_less=True)
            with m.If(self.en):
                m.d.sync += register.eq(value)
            with m.If(self.clear):
                m.d.sync += register.eq(0)
            return register

        def sum_of(bits: Value, elements: list[int], half: int, form: int) -> Value:
            return reduce(xor, [bits[i] for i, y in enumerate(elements) if _form(form, parts[y][half])])

        # y by its forms: y = sum of bits[half][i] * weights[half][i] * split[half].
        bits = [Signal(4, name="a"), Signal(4, name="b")]
        weights = [_dual(forms) for forms in choice.inputs]
        forward = [1 << bit for bit in range(8)]
        inverse = [_multiply(choice.scale, x) for x in undo_affine]
        for half, forms in enumerate(choice.inputs):
            for i, form in enumerate(forms):
                m.d.comb += bits[half][i].eq(
                    self._select(
                        sum_of(self.input, forward, half, form), sum_of(self.input ^ _OFFSET, inverse, half, form)
                    )
                )

        if "forms" in self._cuts:
            bits = [registered(half) for half in bits]

        # The norm by its forms: y^17 = y * y^16, bit by bit.
        norm = Signal(4)
        terms = [
            (bits[half][i], _multiply(weights[half][i], choice.split[half])) for half in range(2) for i in range(4)
        ]
        products: list[tuple[Value, int]] = [(bit, _multiply(y, _CONJUGATE[y])) for bit, y in terms]
        for i, (bit, y) in enumerate(terms):
            for other, z in terms[:i]:
                products.append((bit & other, _multiply(y, _CONJUGATE[z]) ^ _multiply(z, _CONJUGATE[y])))
        for i, form in enumerate(choice.norm):
            m.d.comb += norm[i].eq(reduce(xor, [bit for bit, n in products if _form(form, n)]))

        if "norm" in self._cuts:
            bits, norm = [registered(half) for half in bits], registered(norm)

        # Every form of 1 / n, each a table over the norm's bits.
        inverted = {}
        for form in _SUBFIELD[1:]:
            table = 0
            for n in _SUBFIELD:
                table |= _form(form, _INVERSE[n]) << sum(_form(c, n) << i for i, c in enumerate(choice.norm))
            inverted[form] = Signal(name=f"inverted_{form:02x}")
            m.d.comb += inverted[form].eq(Const(table, 16).bit_select(norm, 1))

        # a / n and b / n by their forms. The output is linear in them: a summand contributes its y where its bit is set
        summands: list[tuple[Value, int]] = []
        for half, forms in enumerate(choice.products):
            for form, weight in zip(forms, _dual(forms), strict=True):
                pairs = [Signal(name=f"product_{half}_{form:02x}_{i}") for i in range(2)]
                for pair, i in zip(pairs, (0, 2), strict=True):
                    ands = [bits[half][j] & inverted[_multiply(form, weights[half][j])] for j in (i, i + 1)]
                    m.d.comb += pair.eq(ands[0] ^ ands[1])
                summands.append((pairs[0] ^ pairs[1], _multiply(_CONJUGATE[choice.split[half]], weight)))
        for k in range(8):
            forward_row = [bit for bit, y in summands if _AFFINE[y] >> k & 1]
            inverse_row = [bit for bit, y in summands if _multiply(choice.scale, y) >> k & 1]
            m.d.comb += self.output[k].eq(
                self._select(reduce(xor, forward_row) ^ (_OFFSET >> k & 1), reduce(xor, inverse_row))
            )
        return m
