import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from deeplock.hw.basics.turning import turned


class Turner(wiring.Component):
    """`turned` of an input by as many places as an input of `bits` bits says."""

    def __init__(self, parts: int, part: int, bits: int, negative: bool):
        self._part, self._negative = part, negative
        super().__init__({"value": In(parts * part), "places": In(bits), "out": Out(parts * part)})

    def elaborate(self, platform) -> Module:
        m = Module()
        places = Signal(len(self.places))
        m.d.comb += places.eq(-self.places if self._negative else self.places)
        m.d.comb += self.out.eq(turned(m, self.value, self._part, places))
        return m


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize(("parts", "part"), [(1, 8), (2, 8), (4, 8), (8, 8), (16, 8), (4, 1), (8, 1)])
def test_every_part_moves_up_by_the_low_bits_of_places_and_round_the_end(parts, part, negative, rng):
    """Part i goes to (i + places) % parts; `places` may have more bits than that takes, or fewer, and may be a negation."""
    for bits in (1, 3, 5):
        dut = Turner(parts, part, bits, negative)

        async def testbench(ctx, dut=dut, bits=bits):
            for places in range(1 << bits):
                values = rng.integers(0, 1 << part, parts).tolist()
                ctx.set(dut.value, sum(value << part * at for at, value in enumerate(values)))
                ctx.set(dut.places, places)
                await ctx.delay(1e-9)
                out = ctx.get(dut.out)
                seen = [out >> part * at & (1 << part) - 1 for at in range(parts)]
                moved = (-places if negative else places) % (1 << bits)
                assert seen == [values[(at - moved) % parts] for at in range(parts)]

        simulator = Simulator(dut)
        simulator.add_testbench(testbench)
        simulator.run()
