"""Cycle events: classifies each cycle of a run for the counters."""

from amaranth import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from deeplock.hw.control.registers import CounterRegisters
from deeplock.hw.control.sequencer import Profiling, SequencerReport
from deeplock.hw.feed.issue import IssueReport
from deeplock.pymodel.spec.registers import COUNTERS

__all__ = ["CycleEvents"]


class CycleEvents(wiring.Component):
    """Every cycle of a run that PROFILE selects counts once in CYCLES and once in one other counter. The cycle in which Control
    ends the run does not count.

    Latency: 1 cycle. Registered, because the sources are far apart on a large device.

    Members:
        registers         the counters
        profiling         which cycles count
        sequencer, issue  their status
        begin, going      as in Supervisor
        delivering        the ofmap buffer holds beats
        keyless           a locked beat waits for the key stream
        offered           a beat waits at the loadable port
    """

    def __init__(self):
        super().__init__(
            {
                "registers": In(CounterRegisters()),
                "profiling": In(Profiling()),
                "sequencer": In(SequencerReport()),
                "issue": In(IssueReport()),
                "begin": In(1),
                "going": In(1),
                "delivering": In(1),
                "keyless": In(1),
                "offered": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        events, sequencer = self.issue.events, self.sequencer
        delivering = sequencer.idle & self.delivering
        starved = ~self.keyless & ~self.offered
        high = {
            "CYCLES": 1,
            "COMPUTE": events.compute,
            "PARAM_STARVED": events.weights & starved,
            "KEY_STARVED": events.weights & self.keyless,
            "LOAD_BOUND": events.weights & ~starved & ~self.keyless,
            "FEEDER": events.empty & sequencer.feeding,
            "POST": events.post,
            "OUTPUT_STALLED": events.output_stalled | (events.empty & delivering),
            "DRAIN": events.empty & ~sequencer.feeding & ~sequencer.waits_for_ifmap & ~delivering,
            "INPUT_STARVED": events.empty & sequencer.waits_for_ifmap,
        }
        m.d.comb += [self.registers.restart.eq(self.begin), self.profiling.profile.eq(self.registers.profile)]
        m.d.sync += self.registers.events.eq(
            Mux(self.going & self.profiling.counted, Cat(high[name] for name, _ in COUNTERS), 0)
        )
        return m
