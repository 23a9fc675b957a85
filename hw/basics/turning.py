"""Rotation of a value's parts."""

from amaranth import Module, Mux, Signal, Value

__all__ = ["turned"]


def turned(m: Module, value: Value, part: int, places: Value) -> Value:
    """`value`, 2**n parts of `part` bits, rotated to the left by the low n bits of `places` parts; combinational."""
    bits = (len(value) // part - 1).bit_length()
    for bit, moves in enumerate(places[:bits]):
        stage = Signal(len(value), name=f"turned_{bit}")
        m.d.comb += stage.eq(Mux(moves, value.rotate_left(part << bit), value))
        value = stage
    return value
