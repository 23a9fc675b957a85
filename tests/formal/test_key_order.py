"""A key is in place only if it was written whole: its size, and then each word once, in order."""

from types import ModuleType

import pytest
from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from deeplock.hw.basics.axi import AxiLite, Response
from deeplock.hw.control import registers
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Status, address
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove, stays

CONFIGS = {
    "8x8, 32 bytes": Config(key_sizes=(32,)),
    "4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
}
WORDS = 8


class Whole(wiring.Component):
    """Follows the answers on the bus. A write of KEY_SIZE that is answered OKAY begins a key; a word that is answered OKAY is
    the next one; any other write of a key register ends it, unless the core is busy. While a key is there, half written or
    whole, the register holds what came; while KEYED all of it came."""

    def __init__(self, config: Config, registers: ModuleType = registers):
        self._sizes, self._file = config.key_sizes, registers.RegisterFile(config)
        super().__init__({"s_axil": In(AxiLite(registers.ADDRESS_BITS)), "status": In(16), "zeroise": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.file = file = self._file
        bus = self.s_axil
        connect(m, flipped(bus), file.s_axil)
        m.d.comb += [file.control.status.eq(self.status), file.control.zeroise.eq(self.zeroise)]
        m.d.comb += Assume(stays(m, bus.awvalid, bus.awready, bus.awaddr))
        m.d.comb += Assume(stays(m, bus.wvalid, bus.wready, bus.wdata, bus.wstrb))

        # the write that was taken in the cycle before; its answer is here
        written = past(m, bus.awvalid & bus.awready & bus.wstrb.all())
        place, data = past(m, bus.awaddr[2:]), past(m, bus.wdata)
        okay = bus.bresp == Response.OKAY
        acts = written & ~past(m, (self.status & Status.BUSY).any(), 2)
        is_size = place == address("KEY_SIZE") >> 2
        is_word = (place[3:] == address("KEY0") >> 5) & (place[:3] < max(self._sizes) // 4)

        begun, size, count = Signal(), Signal(6), Signal(range(WORDS + 1))
        words = Array(Signal(32, name=f"came_{index}") for index in range(WORDS))
        begun_now, size_now, count_now = Signal(), Signal(6), Signal.like(count)
        m.d.comb += [begun_now.eq(begun), size_now.eq(size), count_now.eq(count)]
        with m.If(acts & is_size):
            m.d.comb += [begun_now.eq(okay), size_now.eq(data), count_now.eq(0)]
        with m.Elif(acts & is_word):
            m.d.comb += [begun_now.eq(begun & okay & (place[:3] == count)), count_now.eq(count + 1)]
            m.d.sync += words[place[:3]].eq(data)
        m.d.sync += [begun.eq(begun_now), size.eq(size_now), count.eq(count_now)]

        keyed, there = file.control.keyed, file.key.size.any()
        m.d.comb += Assert(implies(there, begun_now & (file.key.size == size_now)))
        m.d.comb += Assert(implies(keyed, there & (count_now == size_now[2:])))
        for index, word in enumerate(words):
            came = Mux(acts & is_word & (place[:3] == index), data, word)
            here = file.key.value.word_select(index, 32)
            m.d.comb += Assert(implies(there & (index < count_now), here == came))
            m.d.comb += Assert(implies(keyed & (index >= count_now), here == 0))
        return m


@pytest.mark.parametrize("name", ["4x4 lean", pytest.param("8x8, 32 bytes", marks=pytest.mark.slow)])
def test_a_key_in_place_was_written_whole_and_in_order(name, proves):
    proves(Whole(CONFIGS[name]), "KEYED means one whole key, written in order", f"registers, deep-lock {name}")


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("takes = is_word & is_expected & half_written", "takes = is_word & half_written"),
        ("takes = is_word & is_expected & half_written", "takes = is_word & is_expected"),
        ("zeroises | is_size | refuses", "zeroises | is_size"),
        ("zeroises | is_size | refuses", "zeroises | refuses"),
        (">> 2) - 1", ">> 2) - 2"),
    ],
)
def test_a_key_that_is_not_whole_is_refuted(right, wrong):
    assert not prove(Whole(CONFIGS["4x4 lean"], mutant(registers, right, wrong))).proved
