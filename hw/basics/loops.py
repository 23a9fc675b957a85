"""Nested loops, the choice among the steps that they ask for, and counters that are loaded."""

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["NestedLoops", "chosen", "counted"]


class NestedLoops(wiring.Component):
    """Counts the rounds of nested loops. What it says of a round comes from registers: what follows from comparisons is done in
    the round before, comparisons in the one before that.

    bits   of each loop's number of rounds, at least 1, by name, innermost first; 0 rounds stand for 2 ** bits

    Latency: the first round is in the cycle after `begin`. Throughput: one round a cycle.

    Members:
        begin    pulse, not while `active`
        rounds   by loop; they stay from the cycle before `begin` to the end
        advance  a round of the innermost loop is over; only while `active`
        active   from the first round to the last
        last     by loop: it is in its last round
        ends     by loop: it and all inside it are in their last rounds
        goes     by loop: after this round it goes on and those inside it begin again; at most one does
    """

    def __init__(self, **bits: int):
        flags = data.StructLayout(dict.fromkeys(bits, 1))
        super().__init__(
            {
                "begin": In(1),
                "rounds": In(data.StructLayout(bits)),
                "advance": In(1),
                "active": Out(1),
                "last": Out(flags),
                "ends": Out(flags),
                "goes": Out(flags),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        *_, (outermost, _) = self.rounds.shape()
        # `begin` and `advance` come late in a cycle: what they make of the loops hangs on `active`, which tells them apart, and
        # but for `goes` all is ready for the first round before `begin`
        goes_on = ~self.active | ~self.ends[outermost]
        inner = Const(1)
        lasts: list[Value] = []  # in the round to come, inner loops first
        for name, shape in self.rounds.shape():
            rounds, last, ends = self.rounds[name], self.last[name], self.ends[name]
            number = Signal(shape.shape, name=f"{name}_number")  # of the round after the one to come
            coming = Signal(name=f"{name}_coming")  # the one to come is the last
            single = Signal(name=f"{name}_single")
            m.d.sync += single.eq(rounds == 1)
            restarts = ~self.active | ends
            with m.If(~self.active | (self.advance & inner)):
                m.d.sync += [
                    coming.eq(Mux(restarts, rounds == Const(2, shape.shape), number == rounds)),
                    number.eq(Mux(restarts, 3, number + 1)),
                ]
            next_last = Mux(~self.active | (inner & ends), single, Mux(inner, coming, last))
            with m.If(~self.active | self.advance):
                m.d.sync += [last.eq(next_last), ends.eq(Cat(*lasts, next_last).all())]
            with m.If(self.begin | self.advance):
                m.d.sync += self.goes[name].eq(Cat(goes_on, *lasts, ~next_last).all())
            inner = ends
            lasts.append(next_last)
        with m.If(self.begin):
            m.d.sync += self.active.eq(1)
        with m.If(self.advance & inner):
            m.d.sync += self.active.eq(0)
        return m


def chosen(*choices: tuple[Value, Value]) -> Value:
    """The value whose condition holds, or 0; conditions exclude each other. An AND-OR takes fewer LUTs than a chain of Mux."""
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))


def counted(number: Value, load: Value, value: Value, step: Value | int = 1) -> Value:
    """`value` with `load`, else number + step modulo 2 ** len(number): what a counter goes on to.

    With `load` the sum does not matter. That `load` is among its addends lets iCE40 do adder and choice in one LUT a bit.
    """
    step = Value.cast(step)
    addend = Cat(step, load.replicate(len(number) - len(step)))
    return Mux(load, value, (number + addend)[: len(number)])
