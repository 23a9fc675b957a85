from itertools import product

from deeplock.hw.control.events import CycleEvents
from deeplock.pymodel.spec.registers import COUNTERS
from tests.hw.stream_tools import simulate

NAMES = [name for name, _ in COUNTERS]
BITS = ("delivering", "keyless", "offered")


def cause(event: str, state: str, delivering: int, keyless: int, offered: int) -> str:
    """The counter of a cycle, as docs/registers.md says."""
    if event == "weights":
        return "KEY_STARVED" if keyless else "LOAD_BOUND" if offered else "PARAM_STARVED"
    if event == "empty":
        ended = "OUTPUT_STALLED" if delivering else "DRAIN"
        return {"feeding": "FEEDER", "waits_for_ifmap": "INPUT_STARVED", "idle": ended, "": "DRAIN"}[state]
    return event.upper()


def test_every_cycle_that_counts_has_one_cause_and_is_told_a_cycle_later():
    dut = CycleEvents()

    async def testbench(ctx):
        events = ("compute", "weights", "empty", "post", "output_stalled")
        states = ("idle", "feeding", "waits_for_ifmap", "")
        for event, state, *bits in product(events, states, *[(0, 1)] * len(BITS)):
            ctx.set(dut.issue.events, {event: 1})
            for name in states[:-1]:
                ctx.set(getattr(dut.sequencer, name), name == state)
            for name, value in zip(BITS, bits, strict=True):
                ctx.set(getattr(dut, name), value)
            for going, counted in ((1, 1), (0, 1), (1, 0)):
                ctx.set(dut.going, going)
                ctx.set(dut.profiling.counted, counted)
                await ctx.tick()
                told = ctx.get(dut.registers.events)
                expected = {"CYCLES", cause(event, state, *bits)} if going and counted else set()
                assert {name for bit, name in enumerate(NAMES) if told >> bit & 1} == expected

    simulate(dut, testbench)


def test_profile_goes_to_the_sequencer_and_begin_clears_the_counters():
    dut = CycleEvents()

    async def testbench(ctx):
        ctx.set(dut.registers.profile, 7)
        assert ctx.get(dut.profiling.profile) == 7
        for begin in (0, 1, 0):
            ctx.set(dut.begin, begin)
            assert ctx.get(dut.registers.restart) == begin
        await ctx.tick()

    simulate(dut, testbench)
