from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from deeplock.hw.lock.composite_sbox import CUTS, CompositeSbox
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX
from tests.hw.refusal import assert_refused
from tests.hw.register_tools import registers_of

ALL_CUTS = [(), ("forms",), ("norm",), CUTS]
CUSTOM = np.random.default_rng(5).permutation(256)


def simulate(dut: Sbox, testbench, fragment: Fragment | None = None) -> None:
    simulator = Simulator(fragment or dut)
    if dut.latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("lanes", [1, 3, 4])
@pytest.mark.parametrize(
    "style, table, cuts",
    [
        *product(["rom", "lut"], ("forward", "inverse", "custom"), [CUTS]),  # which they do not heed
        *product(["composite"], ("forward", "inverse"), ALL_CUTS),
    ],
)
def test_every_lane_substitutes_every_byte_after_the_stated_latency(style, table, cuts, lanes):
    values = {"forward": SBOX, "inverse": INV_SBOX, "custom": CUSTOM}[table]
    dut = Sbox(lanes, style, values, cuts)
    assert dut.latency == {"rom": 1, "lut": 0, "composite": len(cuts)}[style]

    async def testbench(ctx):
        ctx.set(dut.en, 1)
        for x in range(256):
            row = [(x + 77 * lane) % 256 for lane in range(lanes)]
            ctx.set(dut.input, int.from_bytes(bytes(row), "little"))
            for _ in range(dut.latency):
                await ctx.tick()
            assert ctx.get(dut.output) == int.from_bytes(bytes(values[row].tolist()), "little")

    simulate(dut, testbench)


@pytest.mark.parametrize("style, cuts", [("rom", ()), *(("composite", cuts) for cuts in ALL_CUTS[1:])])
def test_output_stays_while_not_enabled(style, cuts):
    dut = Sbox(1, style, cuts=cuts)

    async def testbench(ctx):
        ctx.set(dut.input, 0x53)
        ctx.set(dut.en, 1)
        await ctx.tick().repeat(dut.latency)
        ctx.set(dut.en, 0)
        ctx.set(dut.input, 0x00)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.output) == 0xED  # FIPS-197 section 5.1.1: S[53] = ed

    simulate(dut, testbench)


@pytest.mark.parametrize(
    "cuts, names", [(("forms",), "ab"), (("norm",), ["a", "b", "norm"]), (CUTS, ["a", "b", "a_cut", "b_cut", "norm"])]
)
@pytest.mark.parametrize("table", [SBOX, INV_SBOX], ids=["forward", "inverse"])
def test_clear_zeroises_the_registers_of_a_composite_s_box(table, cuts, names):
    dut = Sbox(2, "composite", table, cuts)
    fragment = Fragment.get(dut, None)
    registers = registers_of(fragment)
    assert sorted(register.name for register in registers) == sorted(2 * [f"{name}_cut" for name in names])
    assert sum(map(len, registers)) == 2 * 4 * len(names)

    async def testbench(ctx):
        for en in (0, 1):
            ctx.set(dut.clear, 0)
            ctx.set(dut.en, 1)
            ctx.set(dut.input, 0x5301)
            await ctx.tick().repeat(dut.latency)
            assert any(ctx.get(register) for register in registers)
            ctx.set(dut.clear, 1)
            ctx.set(dut.en, en)
            await ctx.tick()
            assert not any(ctx.get(register) for register in registers)

    simulate(dut, testbench, fragment)


@pytest.mark.parametrize("inverse, table", [(0, SBOX), (1, INV_SBOX)], ids=["forward", "inverse"])
@pytest.mark.parametrize("cuts", ALL_CUTS[1:])
def test_a_shared_s_box_with_registers_is_both(cuts, inverse, table):
    dut = CompositeSbox("both", cuts)

    async def testbench(ctx):
        ctx.set(dut.inverse, inverse)
        ctx.set(dut.en, 1)
        for x in range(256):
            ctx.set(dut.input, x)
            await ctx.tick().repeat(len(cuts))
            assert ctx.get(dut.output) == table[x]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_faults_of_arguments_are_named():
    assert_refused("lanes must be at least 1, not 0", lambda: Sbox(0, "rom"))
    assert_refused("style must be rom, lut or composite, not bram", lambda: Sbox(1, "bram"))
    assert_refused(
        "style composite knows only the AES S-box and its inverse; use rom or lut", lambda: Sbox(1, "composite", CUSTOM)
    )
    assert_refused("S-box must be a bijection: 0x00 appears 256 times", lambda: Sbox(1, "lut", np.zeros(256, int)))
