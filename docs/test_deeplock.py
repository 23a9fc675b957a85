"""A cocotb testbench of one's own around deeplock.v, for Icarus, or with SIM=verilator: docs/into-your-design.md."""

import os
import sys
from pathlib import Path

import cocotb
import numpy as np
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import VerilatorControlFile, get_runner

from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.lock.keyfile import read_key
from deeplock.pymodel.lock.keys import suite_key
from deeplock.pymodel.spec.accelerator import accelerator_for
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.registers import Error
from deeplock.sim import Driver


@cocotb.test()
async def every_byte_is_the_golden_models(dut):
    loadable = read_loadable("my.loadable")
    key = suite_key(read_key("my.key"), loadable.suite, "model")
    ifmaps = np.random.default_rng(1).integers(-128, 128, (1, *loadable.interface.input_shape), np.int8)
    driver = Driver(dut)
    await driver.reset()
    await driver.load_key(key)
    result = await driver.run(loadable, list(ifmaps))
    assert np.array_equal(result.ofmaps, expected_ofmaps(loadable, accelerator_for(loadable), key, ifmaps))
    dut._log.info(f"{result.counters['CYCLES']} cycles")


@cocotb.test()
async def another_key_is_refused(dut):
    driver = Driver(dut)
    await driver.reset()
    await driver.load_key(b"no key of anyone")
    try:
        await driver.load_program(read_loadable("my.loadable"))
    except AcceleratorError as error:
        assert error.code == Error.BAD_TAG
    else:
        raise AssertionError("it was not refused")


if __name__ == "__main__":
    simulator = os.environ.get("SIM", "icarus")
    waivers = [VerilatorControlFile("deeplock.vlt")] if simulator == "verilator" else []
    runner = get_runner(simulator)
    runner.build(sources=[*waivers, "deeplock.v"], hdl_toplevel="deeplock", timescale=("1ns", "1ps"))
    results = runner.test(test_module=Path(__file__).stem, hdl_toplevel="deeplock", test_dir=".")
    _, failed = get_results(results)
    sys.exit(failed)
