"""Performance counters."""

from amaranth import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from pymodel.registers import COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Counts the cycles in which each event is high, modulo 2**32; latency 1 cycle.

    Members:
        clear    all counts return to 0
        events   in the order of registers.COUNTERS
        counts   in the same order
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "events": In(len(COUNTERS)),
                "counts": Out(data.ArrayLayout(unsigned(32), len(COUNTERS))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        for index in range(len(COUNTERS)):
            with m.If(self.events[index]):
                m.d.sync += self.counts[index].eq(self.counts[index] + 1)
            with m.If(self.clear):
                m.d.sync += self.counts[index].eq(0)
        return m
