"""cocotb tests of the driver on the fake accelerator; test_driver.py runs them."""

import os

import cocotb
import numpy as np

from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.sim.driver import Driver
from deeplock.sim.results import WatchdogError
from tests.sim.fake import FakeLoadable

KEY = bytes(range(0x71, 0x91))
SHAPE = (5, 7, 3)  # 105 bytes: the last beat has 1
PAUSES = float(os.environ["DEEPLOCK_TEST_PAUSES"])


def make(count: int, beats: int = 40, seed: int = 1):
    rng = np.random.default_rng(seed)
    loadable = FakeLoadable(SHAPE, rng.bytes(8 * beats))
    return loadable, [rng.integers(-128, 128, SHAPE, dtype=np.int8) for _ in range(count)]


async def started(dut, **arguments) -> Driver:
    driver = Driver(dut, pauses=PAUSES, seed=7, **arguments)
    await driver.reset()
    return driver


def check(run, loadable, ifmaps, key) -> None:
    assert len(run.ofmaps) == len(ifmaps)
    for ofmap, ifmap in zip(run.ofmaps, ifmaps, strict=True):
        assert np.array_equal(ofmap, loadable.expected(ifmap, key))


async def fails(coroutine, code: Error) -> None:
    try:
        await coroutine
    except AcceleratorError as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"no {code.name}")


async def works(driver) -> None:
    """A whole run, with key and program loaded anew."""
    loadable, ifmaps = make(2, seed=99)
    await driver.load_key(KEY)
    check(await driver.run(loadable, ifmaps), loadable, ifmaps, KEY)


@cocotb.test()
async def runs_follow_runs(dut):
    driver = await started(dut)
    loadable, ifmaps = make(5)
    await driver.load_key(KEY[:16])
    await driver.load_program(loadable)
    seen = []
    run = await driver.run(loadable, ifmaps[:3], lambda done, total: seen.append((done, total)))
    check(run, loadable, ifmaps[:3], KEY)
    assert seen[-1] == (3, 3) and seen == sorted(seen)
    assert 0 < run.counters["CYCLES"] <= run.cycles
    if not PAUSES:
        assert run.counters["CYCLES"] == 3 * (1 + 40 + 14), "the streams must give and take a beat every cycle"
    check(await driver.run(loadable, ifmaps[3:]), loadable, ifmaps[3:], KEY)  # without loading the program again
    other, _ = make(0, beats=1, seed=2)
    check(await driver.run(other, ifmaps[:1]), other, ifmaps[:1], KEY)
    assert await driver.status() == Status.LOADED | Status.KEYED | Status.DONE


@cocotb.test()
async def a_device_without_key_says_so(dut):
    driver = await started(dut)
    loadable, ifmaps = make(1)
    await fails(driver.run(loadable, ifmaps), Error.NO_KEY)
    await works(driver)
    await driver.zeroise()
    assert not await driver.status() & Status.KEYED
    await fails(driver.run(loadable, ifmaps), Error.NO_KEY)
    await works(driver)


@cocotb.test()
async def a_wrong_stream_is_an_error_and_the_next_run_is_right(dut):
    driver = await started(dut)
    loadable, ifmaps = make(2)
    for parameters, code in (
        (loadable.parameters[:-8], Error.LOADABLE_TRUNCATED),
        (loadable.parameters * 2, Error.LOADABLE_TOO_LONG),
    ):
        await driver.load_key(KEY)
        await driver.write("CONTROL", Command.LOAD)
        driver.loadable.send_nowait(loadable.head + parameters)
        await driver.wait(200)
        driver._loaded, driver._offered = loadable, True
        await fails(driver.run(loadable, ifmaps), code)
        await works(driver)
    await driver.load_key(KEY)
    await fails(driver.run(loadable, [ifmaps[0], ifmaps[1][:-1]]), Error.IFMAP_LENGTH)
    await works(driver)


@cocotb.test()
async def an_abort_leaves_an_idle_device_without_key(dut):
    driver = await started(dut)
    loadable, ifmaps = make(3, beats=400)
    for cycles in (1, 30, 300, 700):
        await driver.load_key(KEY)
        await driver.load_program(loadable)
        task = cocotb.start_soon(driver.run(loadable, ifmaps))
        await driver.wait(100 + cycles)
        task.cancel()
        await driver.abort()
        status = await driver.status()
        assert status >> 8 == Error.ABORTED and not status & (Status.BUSY | Status.KEYED), hex(status)
        await works(driver)


@cocotb.test()
async def a_reset_in_a_run_leaves_a_device_that_works(dut):
    driver = await started(dut)
    loadable, ifmaps = make(3, beats=400)
    await driver.load_key(KEY)
    task = cocotb.start_soon(driver.run(loadable, ifmaps))
    await driver.wait(500)
    task.cancel()
    await driver.reset()
    assert await driver.status() == 0
    await works(driver)


@cocotb.test()
async def a_hang_ends_by_the_watchdog(dut):
    driver = await started(dut, watchdog=3000)
    loadable, ifmaps = make(2)
    await driver.load_key(KEY)
    driver.ifmap.set_pause_generator(iter(lambda: True, None))
    try:
        await driver.run(loadable, ifmaps)
    except WatchdogError as error:
        assert "DONE, 0 of 2 ofmap packets came" in str(error) and "STATUS 0x0007" in str(error), error
    else:
        raise AssertionError("no WatchdogError")


@cocotb.test()
async def registers_are_read_and_written_by_name(dut):
    driver = await started(dut)
    assert await driver.read("ID") == 0x314B_4C44
    await driver.write("COUNT", 77)
    assert await driver.read("COUNT") == 77
    assert set((await driver.counters()).values()) == {0}
    try:
        await driver.write("ID", 1)
    except OSError as error:
        assert "SLVERR" in str(error)
    else:
        raise AssertionError("no OSError")
    await driver.write("KEY_SIZE", 20)
    await driver.wait(10)
    assert (await driver.status()) >> 8 == Error.BAD_KEY_SIZE
