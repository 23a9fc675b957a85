"""Nested loops as counters, and the next address as one adder behind two choices: what feeder and unfolder have in common."""

from functools import reduce
from operator import or_

from amaranth import Const, Module, Mux, Signal, Value

__all__ = ["chosen", "nest"]


def nest(m: Module, advance: Value, begin: Value, **loops: tuple[Signal, Value]) -> tuple[dict, dict, dict]:
    """Count nested loops, innermost first, each a counter and its number of rounds; `advance` ends a round of the innermost.

    A counter that starts from 1 ends at its number of rounds, which is smaller than one that starts from 0. It takes as many
    bits of that number as it has itself: 2 ** n rounds need n bits.

    Gives for every loop three flags, by name:
        last   it is in its last round
        ends   so it is, and so are all inside it
        goes   after this round it goes on and those inside it begin again; for no loop with `begin` and after the last round
    """
    last, ends, goes = {}, {}, {}
    inner = Const(1)
    for name, (counter, rounds) in loops.items():
        following = Signal.like(counter, name=f"{name}_following")
        last[name], ends[name], goes[name] = (Signal(name=f"{name}_{flag}") for flag in ("last", "ends", "goes"))
        m.d.comb += [
            following.eq(counter + 1),
            last[name].eq((counter if counter.init else following) == rounds[: len(counter)]),
            ends[name].eq(inner & last[name]),
            goes[name].eq(inner & ~last[name] & ~begin),
        ]
        with m.If(advance & inner):
            m.d.sync += counter.eq(Mux(last[name], counter.init, following))
        inner = ends[name]
    return last, ends, goes


def chosen(*choices: tuple[Value, Value]) -> Value:
    """The value whose condition holds, or 0; conditions exclude each other. An AND-OR takes fewer LUTs than a chain of Mux."""
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))
