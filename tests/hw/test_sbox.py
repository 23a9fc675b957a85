from itertools import product

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.sbox import STYLES, Sbox
from pymodel.sbox import INV_SBOX, SBOX
from tests.hw.refusal import assert_refused

CUSTOM = np.random.default_rng(5).permutation(256)


def simulate(dut: Sbox, testbench) -> None:
    simulator = Simulator(dut)
    if dut.latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("lanes", [1, 3, 4])
@pytest.mark.parametrize(
    "style, table", [*product(STYLES, ("forward", "inverse")), ("rom", "custom"), ("lut", "custom")]
)
def test_every_lane_substitutes_every_byte_after_the_stated_latency(style, table, lanes):
    values = {"forward": SBOX, "inverse": INV_SBOX, "custom": CUSTOM}[table]
    dut = Sbox(lanes, style, values)
    assert dut.latency == (1 if style == "rom" else 0)

    async def testbench(ctx):
        ctx.set(dut.en, 1)
        for x in range(256):
            row = [(x + 77 * lane) % 256 for lane in range(lanes)]
            ctx.set(dut.input, int.from_bytes(bytes(row), "little"))
            for _ in range(dut.latency):
                await ctx.tick()
            assert ctx.get(dut.output) == int.from_bytes(bytes(values[row].tolist()), "little")

    simulate(dut, testbench)


def test_rom_keeps_its_output_while_not_enabled():
    dut = Sbox(1, "rom")

    async def testbench(ctx):
        ctx.set(dut.input, 0x53)
        ctx.set(dut.en, 1)
        await ctx.tick()
        ctx.set(dut.en, 0)
        ctx.set(dut.input, 0x00)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.output) == 0xED  # FIPS-197 section 5.1.1: S[53] = ed

    simulate(dut, testbench)


def test_faults_of_arguments_are_named():
    assert_refused("lanes must be at least 1, not 0", lambda: Sbox(0, "rom"))
    assert_refused("style must be rom, lut or composite, not bram", lambda: Sbox(1, "bram"))
    assert_refused(
        "style composite knows only the AES S-box and its inverse; use rom or lut", lambda: Sbox(1, "composite", CUSTOM)
    )
    assert_refused("S-box must be a bijection: 0x00 appears 256 times", lambda: Sbox(1, "lut", np.zeros(256, int)))
