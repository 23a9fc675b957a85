"""Nested loops, the choice among their address steps, and loadable counters."""

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["NestedLoops", "chosen", "counted"]


class NestedLoops(wiring.Component):
    """Counts the rounds of nested loops. All outputs are registers: comparisons are made two rounds ahead, the logic on their
    results one round ahead.

    bits   width of each loop's round count, at least 1, by name, innermost loop first; a count of 0 means 2 ** bits rounds

    Latency: the first round is in the cycle after `begin`. Throughput: one round a cycle.

    Members:
        begin    pulse, not while `active`
        rounds   round count of each loop; stable from the cycle before `begin` to the end
        advance  a round of the innermost loop is over; only while `active`
        active   from the first round to the last
        last     of each loop: this is its last round
        ends     of each loop: this is the last round of it and of all loops inside it
        goes     of each loop: after this round it goes on, and the loops inside it restart; at most one is high
        stays    of each loop: after this round it or a loop inside it goes on
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
                "stays": Out(flags),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        *_, (outermost, _) = self.rounds.shape()
        # `begin` and `advance` arrive late in a cycle, so the early `active` distinguishes them: while it is low, all but
        # `goes` and `stays` is set for the first round
        goes_on = ~self.active | ~self.ends[outermost]
        inner = Const(1)
        lasts: list[Value] = []  # in the next round, inner loops first
        for name, shape in self.rounds.shape():
            rounds, last, ends = self.rounds[name], self.last[name], self.ends[name]
            # minus the rounds to come, this one included, and minus one
            number = Signal(shape.shape, name=f"{name}_number")
            coming = Signal(name=f"{name}_coming")  # the next round is the last
            single = Signal(name=f"{name}_single")
            m.d.sync += single.eq(rounds == 1)
            restarts = ~self.active | ends
            with m.If(~self.active | (self.advance & inner)):
                m.d.sync += [
                    coming.eq(Mux(restarts, rounds == Const(2, shape.shape), number == -4 % (1 << shape.width))),
                    number.eq(counted(number, restarts, ~rounds)),
                ]
            next_last = Mux(~self.active | (inner & ends), single, Mux(inner, coming, last))
            with m.If(~self.active | self.advance):
                m.d.sync += [last.eq(next_last), ends.eq(Cat(*lasts, next_last).all())]
            with m.If(self.begin | self.advance):
                m.d.sync += self.goes[name].eq(Cat(goes_on, *lasts, ~next_last).all())
                m.d.sync += self.stays[name].eq(goes_on & ~Cat(*lasts, next_last).all())
            inner = ends
            lasts.append(next_last)
        with m.If(self.begin):
            m.d.sync += self.active.eq(1)
        with m.If(self.advance & inner):
            m.d.sync += self.active.eq(0)
        return m


def chosen(*choices: tuple[Value, Value]) -> Value:
    """The value whose condition holds, or 0. At most one may hold: an AND-OR takes fewer LUTs than a chain of Mux."""
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))


def counted(number: Value, load: Value, value: Value, step: Value | int = 1) -> Value:
    """Next state of a loadable counter: `value` if `load`, else number + step modulo 2 ** len(number).

    `load` is also among the addends, where it does no harm: iCE40 then needs one LUT a bit for adder and choice.
    """
    step = Value.cast(step)
    addend = Cat(step, load.replicate(len(number) - len(step)))
    return Mux(load, value, (number + addend)[: len(number)])
