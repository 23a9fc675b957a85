"""The look-up against NumPy's indexing."""

import numpy as np
import pytest

from deeplock.hw.post.look_up import LookUp
from deeplock.pymodel.spec.config import Config
from tests.hw.stream_tools import simulate


@pytest.mark.parametrize("pipeline_registers", [True, False], ids=["registers", "no registers"])
def test_each_lane_looks_up_while_the_other_bank_is_written(pipeline_registers, rng):
    config = Config(rows=4, cols=4, bytes_per_beat=4, lanes=2, pipeline_registers=pipeline_registers)
    dut = LookUp(config)
    assert dut.latency == 1 + pipeline_registers
    tables = rng.integers(-128, 128, (5, 256))
    given, expected, found = [], [], []

    async def testbench(ctx):
        for number, table in enumerate(tables):
            mapped = int(rng.integers(0, 2))
            for entry in range(256):
                ctx.set(dut.write.enable, 1)
                ctx.set(dut.write.address, entry | number % 2 << 8)
                ctx.set(dut.write.data, int(table[entry]))
                if number:  # the one before is in use
                    values = rng.integers(-128, 128, 2)
                    for lane, value in enumerate(values.tolist()):
                        ctx.set(dut.values[lane], value)
                    ctx.set(dut.mapped, mapped)
                    ctx.set(dut.bank, (number - 1) % 2)
                    given.append(values)
                    expected.append(tables[number - 1][values] if mapped else values)
                await ctx.tick()
                if number and entry >= dut.latency - 1:
                    found.append([ctx.get(lane) for lane in dut.out])
            ctx.set(dut.write.enable, 0)
            for _ in range(dut.latency - 1):
                await ctx.tick()
                if number:
                    found.append([ctx.get(lane) for lane in dut.out])

    simulate(dut, testbench)
    assert len(given) == 4 * 256 and np.array_equal(found, expected)
