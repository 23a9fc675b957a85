"""The AES S-box and its inverse computed in GF((2^4)^2) instead of looked up.

Optimised for 4-input LUTs: inversion is x^-1 = x^16 * (x^17)^-1, where x^17, the norm, lies in the subfield GF(2^4), and
x^16 is linear. So every output bit is a sum of (input bit AND linear form of the inverted norm), and each of the 15 linear
forms is a function of only four bits. Nothing here is a magic number: all follows from the field of FIPS-197.
"""

from functools import reduce
from operator import xor

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from pymodel.sbox import SBOX, double

__all__ = ["CompositeSbox"]


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = double(a), b >> 1
    return product


def _power(a: int, exponent: int) -> int:
    product = 1
    for _ in range(exponent):
        product = _multiply(product, a)
    return product


_INVERSE = [_power(a, 254) for a in range(256)]
_OFFSET = int(SBOX[0])  # S[x] = A(x^-1) ^ offset, A linear over GF(2)


def _apply(columns: list[int], x: int) -> int:
    """Matrix over GF(2), given by what each bit contributes, times the bits of x."""
    product = 0
    for bit, column in enumerate(columns):
        product ^= column if x >> bit & 1 else 0
    return product


def _basis_of_subfield() -> list[int]:
    """Four elements whose sums are the 16 elements with x^16 = x, GF(2^4)."""
    basis: list[int] = []
    for x in range(1, 256):
        if _power(x, 16) == x and x not in [_apply(basis, number) for number in range(1 << len(basis))]:
            basis.append(x)
    return basis


class CompositeSbox(wiring.Component):
    """AES S-box or inverse S-box (FIPS-197 sections 5.1.1 and 5.3.2) of one byte, combinational.

    Arguments
    ---------
    inverse : bool
        Build the inverse S-box.

    Members
    -------
    input, output : 8 bits
    """

    def __init__(self, inverse: bool):
        self._inverse = inverse
        super().__init__({"input": In(8), "output": Out(8)})

    def elaborate(self, platform) -> Module:
        m = Module()
        affine = [int(SBOX[_INVERSE[1 << bit]]) ^ _OFFSET for bit in range(8)]
        identity = [1 << bit for bit in range(8)]
        if self._inverse:
            affine_inverse = [next(x for x in range(256) if _apply(affine, x) == 1 << bit) for bit in range(8)]
            before, after = affine_inverse, identity
        else:
            before, after = identity, affine
        bits = self.input ^ (_OFFSET if self._inverse else 0)  # the field element is _apply(before, bits)
        conjugates = [_power(x, 16) for x in before]

        # The norm as a vector over a basis of GF(2^4): a sum over input bits and over pairs of them.
        basis = _basis_of_subfield()
        index = {_apply(basis, number): number for number in range(16)}
        norm = Signal(4)
        terms: list[Value] = []
        for i in range(8):
            terms.append(bits[i].replicate(4) & index[_multiply(before[i], conjugates[i])])
            for j in range(i):
                cross = _multiply(before[i], conjugates[j]) ^ _multiply(before[j], conjugates[i])
                terms.append((bits[i] & bits[j]).replicate(4) & index[cross])
        m.d.comb += norm.eq(reduce(xor, terms))

        # forms[f]: sum of the bits that f selects of the inverse norm, a table over the norm.
        forms = Signal(16)
        inverse_norms = [index[_INVERSE[_apply(basis, number)]] for number in range(16)]
        for form in range(16):
            table = sum(((inverse_norms[number] & form).bit_count() & 1) << number for number in range(16))
            m.d.comb += forms[form].eq(Const(table, 16).bit_select(norm, 1))

        # output = after(sum of bits[i] * conjugates[i] / norm)
        for k in range(8):
            products = []
            for i in range(8):
                weights = [_apply(after, _multiply(conjugates[i], b)) >> k & 1 for b in basis]
                products.append(bits[i] & forms[sum(weight << b for b, weight in enumerate(weights))])
            m.d.comb += self.output[k].eq(reduce(xor, products) ^ (0 if self._inverse else _OFFSET >> k & 1))
        return m
