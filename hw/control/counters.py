"""Performance counters, in one memory with the register file's constants."""

from collections.abc import Sequence

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.pymodel.spec.registers import COUNTERS

__all__ = ["FIRST_COUNTER", "Counters"]

FIRST_COUNTER = 16
"""The memory's word at which the counters begin; the constants begin at 0."""
_LOW = 4


class Counters(wiring.Component):
    """Counts the cycles in which each event is high since the last `clear`, modulo 2**32. Optimised for few LUTs.

    The memory holds each count as of the scanner's last visit. Flip-flops hold its low four bits as they are now, and whether
    they have wrapped since. In every cycle without a read the scanner updates one word. A read adds up the same, without
    writing it back, and so is exact at any time.

    Latency: `granted` comes one cycle after `read`, or two if the scanner is updating that word; `word` comes in the cycle
    after `granted`, with the events of all cycles before that of `granted`.

    Arguments
    ---------
    constants : at most 16 words
    count : int
        Counters that count, the first ones. The words of the others are 0.

    Members
    -------
    clear           all counts return to 0, as after a reset
    events          in the order of registers.COUNTERS
    read, granted   `read` stays until `granted`, at most one in three cycles, so that the scanner visits each count before it
                    wraps a second time
    address         0..15: a constant, or 0 after the last one; from 16 on: a count; stable during `read`
    word            undefined for an address after the last count
    """

    def __init__(self, constants: Sequence[int], count: int = len(COUNTERS)):
        self._count = count
        assert 3 * len(COUNTERS) // 2 < 1 << _LOW, "a round of the scanner with a read in every third cycle is too long"
        self.words = memory.MemoryData(shape=unsigned(32), depth=2 * FIRST_COUNTER, init=constants)
        super().__init__(
            {
                "clear": In(1),
                "events": In(len(COUNTERS)),
                "read": In(1),
                "granted": Out(1),
                "address": In(range(2 * FIRST_COUNTER)),
                "word": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = store = memory.Memory(self.words, attrs=IN_BLOCKS)
        read, write = store.read_port(), store.write_port()

        # the low bits; above them, whether they have wrapped since the scanner's visit
        counts = [Signal(_LOW + 1, name=name.lower()) for name, _ in COUNTERS[: self._count]]

        places = max(2, self._count)  # of one counter too the scanner leaves a cycle in two to reads
        position = Signal(range(places))
        fresh = Signal(init=1)  # first round since the last clear: no count has wrapped, and the memory is out of date
        # the scanner reads a word in this cycle and writes it in the next one; only then can it be read
        m.d.sync += self.granted.eq(self.read & ~self.granted & (self.address != FIRST_COUNTER | position))
        m.d.comb += read.addr.eq(Mux(self.granted, self.address, FIRST_COUNTER | position))
        with m.If(~self.granted):
            m.d.sync += position.eq(position + 1)
            with m.If(position == places - 1):
                m.d.sync += [position.eq(0), fresh.eq(0)]
        for number, (count, event) in enumerate(zip(counts, self.events, strict=False)):
            scanned = ~self.granted & (position == number)
            m.d.sync += count.eq(Cat(count[:_LOW], count[_LOW] & ~scanned) + event)

        # one cycle later, alike for scanner and read
        low, carry = Signal(_LOW), Signal()
        is_count, is_fresh = Signal(), Signal()
        # where there is no counter: whatever costs least
        choices = Array((counts + counts[8:] * 4)[:FIRST_COUNTER] if self._count > 8 else counts)
        chosen = choices[read.addr[:-1]]
        m.d.sync += [
            low.eq(chosen),
            carry.eq(chosen[_LOW] & read.addr[-1]),
            is_count.eq(read.addr[-1]),
            is_fresh.eq(read.addr[-1] & fresh),
            write.addr.eq(read.addr),
            write.en.eq(~self.granted & (position < self._count)),
        ]
        old_low, old_high = read.data[:_LOW], read.data[_LOW:]
        high = (old_high + carry)[: len(old_high)]
        m.d.comb += [
            self.word.eq(Cat(Mux(is_count, low, old_low), Mux(is_fresh, 0, high))),
            write.data.eq(self.word),
        ]

        with m.If(self.clear):
            m.d.sync += [*(count.eq(0) for count in counts), position.eq(0), fresh.eq(1)]
        return m
