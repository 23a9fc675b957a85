"""cocotb tests of the whole accelerator; test_accelerator.py runs them."""

import os
from dataclasses import replace

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp

from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import COUNTERS, REGISTERS, Access, Command, Error, Interrupt, Status
from deeplock.sim.driver import Driver
from tests.sim import tiny

CONFIG = tiny.ACCUMULATORS_TOO_FEW
PAUSES = float(os.environ["DEEPLOCK_TEST_PAUSES"])
THOROUGH = bool(os.environ.get("DEEPLOCK_TEST_THOROUGH"))
"""Check after every single fault that the next run is right; else, on a slow simulator, now and then."""
LOADABLE = tiny.tiny_loadable(CONFIG)


async def started(dut) -> Driver:
    driver = Driver(dut, pauses=PAUSES, seed=11, watchdog=20_000)
    await driver.reset()
    return driver


async def works(driver: Driver, count: int = 2, key: bytes = tiny.KEY) -> dict[str, int]:
    """A run from the key on is right, and its counters add up."""
    ifmaps = tiny.ifmaps(count, seed=count)
    await driver.load_key(key)
    run = await driver.run(LOADABLE, list(ifmaps))
    assert np.array_equal(np.stack(run.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps, key))
    assert run.counters["CYCLES"] == sum(run.counters[name] for name, _ in COUNTERS if name != "CYCLES")
    return run.counters


async def fails(driver: Driver, loadable: Loadable, code: Error, ifmaps=None) -> None:
    """The run stops with the code and without key; the next one is right."""
    await driver.load_key(tiny.KEY)
    try:
        await driver.run(loadable, list(tiny.ifmaps(2) if ifmaps is None else ifmaps))
    except AcceleratorError as error:
        assert error.code == code, f"{error}, not {code.name}"
    else:
        raise AssertionError(f"no {code.name}")
    status = await driver.status()
    assert not status & (Status.BUSY | Status.KEYED) and status >> 8 == code
    if THOROUGH or code not in (Error.BAD_GEOMETRY, Error.TOO_LARGE, Error.BAD_DESCRIPTOR):
        await works(driver)


def edited(index: int, **fields: int) -> Loadable:
    """The loadable with other values in one descriptor."""
    program = list(LOADABLE.program)
    program[index] = replace(program[index], **fields)
    return replace(LOADABLE, program=tuple(program))


@cocotb.test()
async def runs_follow_runs(dut):
    driver = await started(dut)
    for key in (tiny.KEY, tiny.WRONG_KEY):
        await works(driver, 3, key)
    ifmaps = tiny.ifmaps(4)
    run = await driver.run(LOADABLE, list(ifmaps))  # key and program are still there
    assert np.array_equal(np.stack(run.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps, tiny.WRONG_KEY))


@cocotb.test()
async def no_byte_waits_for_its_key(dut):
    counters = await works(await started(dut), 5)
    assert counters["KEY_STARVED"] == 0
    assert PAUSES or counters["OUTPUT_STALLED"] <= 4


@cocotb.test()
async def a_start_without_key_or_program(dut):
    driver = await started(dut)
    await driver.load_key(tiny.KEY)
    await driver.write("CONTROL", Command.START)
    assert (await driver.status()) >> 8 == Error.NO_PROGRAM
    await driver.load_program(LOADABLE)
    try:
        await driver.run(LOADABLE, list(tiny.ifmaps(1)))
    except AcceleratorError as error:
        assert error.code == Error.NO_KEY  # the error before zeroised it
    else:
        raise AssertionError("no NO_KEY")
    await works(driver)


@cocotb.test()
async def a_key_of_another_size(dut):
    driver = await started(dut)
    await driver.load_key(tiny.KEY)
    await driver.write("KEY_SIZE", 17)
    status = await driver.status()
    assert status >> 8 == Error.BAD_KEY_SIZE and not status & Status.KEYED
    await works(driver)


@cocotb.test()
async def parameters_too_few_or_too_many(dut):
    driver = await started(dut)
    beat = CONFIG.bytes_per_beat
    await fails(driver, replace(LOADABLE, parameters=LOADABLE.parameters[:-beat]), Error.LOADABLE_TRUNCATED)
    await fails(driver, replace(LOADABLE, parameters=LOADABLE.parameters[:beat]), Error.LOADABLE_TRUNCATED)
    await fails(driver, replace(LOADABLE, parameters=LOADABLE.parameters + bytes(9 * beat)), Error.LOADABLE_TOO_LONG)


@cocotb.test()
async def headers_of_something_else(dut):
    driver = await started(dut)
    for fields, code in (
        ({"magic": 0x12345678}, Error.BAD_MAGIC),
        ({"version": LOADABLE.header.version - 1}, Error.BAD_GEOMETRY),
        ({"rows": 8}, Error.BAD_GEOMETRY),
        ({"cols": 8}, Error.BAD_GEOMETRY),
        ({"bytes_per_beat": 8}, Error.BAD_GEOMETRY),
        ({"suite": 0}, Error.BAD_GEOMETRY),
        ({"dense": 0}, Error.BAD_GEOMETRY),
        ({"activation_words": CONFIG.activation_words + 1}, Error.TOO_LARGE),
        ({"accumulators": CONFIG.accumulators + 1}, Error.TOO_LARGE),
        ({"ifmap_beats": CONFIG.ifmap_bytes // CONFIG.rows + 1}, Error.TOO_LARGE),
        ({"layers": CONFIG.program_words // 16 + 1}, Error.TOO_LARGE),
        ({"layers": 0}, Error.BAD_DESCRIPTOR),
        ({"batch": 0}, Error.BAD_DESCRIPTOR),
        ({"parameter_beats": 0}, Error.BAD_DESCRIPTOR),
        ({"runs": 0}, Error.BAD_DESCRIPTOR),
    ):
        await fails(driver, replace(LOADABLE, header=replace(LOADABLE.header, **fields)), code)


@cocotb.test()
async def a_program_cut_short(dut):
    driver = await started(dut)

    class Short(Loadable):
        @property
        def head(self) -> bytes:
            return super().head[:-64]

    short = Short(LOADABLE.header, LOADABLE.program, b"", LOADABLE.interface)
    await fails(driver, short, Error.LOADABLE_TRUNCATED)


@cocotb.test()
async def descriptors_that_are_wrong_end_in_an_error(dut):
    driver = await started(dut)
    padded, last = 2, len(LOADABLE.program) - 1
    for index, fields in (
        (0, {"opcode": 2}),
        (0, {"kblocks": 0}),
        (0, {"groups": 0}),
        (0, {"cblocks": 0}),
        (1, {"rows_last": 0}),
        (1, {"rows_last": CONFIG.rows + 1}),
        (1, {"fold": 9}),
        (1, {"out_w": 0}),
        (1, {"kernel_h": 0}),
        (last, {"pool_w": 0}),
        # loader and feeder disagree about the number of tiles
        (last, {"kernel_h": LOADABLE.program[last].kernel_h + 1}),
        (padded, {"kernel_h": LOADABLE.program[padded].kernel_h - 1}),
        (last, {"kblocks": LOADABLE.program[last].kblocks + 1}),
        # an ifmap that never comes
        (last, {"wait_input": 1}),
        (last, {"wait_input": 1, "release_input": 1}),
    ):
        await fails(driver, edited(index, **fields), Error.BAD_DESCRIPTOR, tiny.ifmaps(1))
    # program and stream disagree about the number of bytes
    for more, error in ((1, Error.LOADABLE_TRUNCATED), (-1, Error.LOADABLE_TOO_LONG)):
        groups = LOADABLE.program[last].groups + more
        await fails(driver, edited(last, groups=groups), error, tiny.ifmaps(1))
    await works(driver)


@cocotb.test()
async def ifmaps_too_short_or_too_long(dut):
    driver = await started(dut)

    class Other(Loadable):
        bytes_more = 0

        def pack_ifmap(self, ifmap) -> bytes:
            data = super().pack_ifmap(ifmap)
            return (data + bytes(8 * CONFIG.rows))[: len(data) + self.bytes_more]

    for Other.bytes_more in (-CONFIG.rows, 5 * CONFIG.rows):
        other = Other(LOADABLE.header, LOADABLE.program, LOADABLE.parameters, LOADABLE.interface)
        await fails(driver, other, Error.IFMAP_LENGTH)


@cocotb.test()
async def abort_at_any_time(dut):
    driver = await started(dut)
    for cycles, command in ((0, Command.ABORT), (40, Command.ZEROISE), (150, Command.ABORT), (400, Command.ZEROISE)):
        await driver.load_key(tiny.KEY)
        await driver.load_program(LOADABLE)
        for ifmap in tiny.ifmaps(3):
            driver.ifmap.send_nowait(LOADABLE.pack_ifmap(ifmap))
        await driver.write("COUNT", 3)
        await driver.write("CONTROL", Command.START)
        if cycles:
            await driver.wait(cycles)
        await driver.write("CONTROL", command)
        await driver.wait(2)
        status = await driver.status()
        assert not status & (Status.BUSY | Status.KEYED | Status.DONE) and status >> 8 == Error.ABORTED
        await driver.abort()  # a second one: the host has given the packet up
        assert not await driver.status() & Status.FLUSHING
        await works(driver)


@cocotb.test()
async def no_start_finds_the_key_that_an_error_takes(dut):
    """The ifmap is a beat short; every cycle around the error sees a START. The program goes with the key."""
    driver = await started(dut)
    await driver.write("COUNT", 1)
    for phase in range(8):
        await driver.load_key(tiny.KEY)
        await driver.load_program(LOADABLE)
        driver.ifmap.send_nowait(LOADABLE.pack_ifmap(tiny.ifmaps(1)[0])[: -CONFIG.rows])
        await driver.write("CONTROL", Command.START)
        await driver.wait(1 + phase)
        for _ in range(100):
            await driver.write("CONTROL", Command.START)
        status = await driver.status()
        assert not status & (Status.BUSY | Status.LOADED | Status.KEYED | Status.DONE)
        assert status >> 8 == Error.NO_PROGRAM and driver.ofmap.empty()
        await driver.abort()
    await works(driver)


@cocotb.test()
async def reset_in_mid_operation(dut):
    driver = await started(dut)
    for cycles in (3, 100, 333, 777):
        await driver.load_key(tiny.KEY)
        await driver.load_program(LOADABLE)
        driver.ifmap.send_nowait(LOADABLE.pack_ifmap(tiny.ifmaps(1)[0]))
        await driver.write("CONTROL", Command.START)
        await driver.wait(cycles)
        await driver.reset()
        assert await driver.status() & ~Status.ERASING == 0
        await works(driver)


INTERRUPT_CYCLES = 4
"""From the last beat of the last ofmap to `irq`."""


class Interrupts:
    """What came on `irq` in each cycle, and when a packet of ofmaps ended."""

    def __init__(self, dut):
        self.dut = dut
        self.shown: list[int] = []
        self.ended = 0
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.m_axis_ofmap_tvalid.value and dut.m_axis_ofmap_tready.value and dut.m_axis_ofmap_tlast.value:
                self.ended = len(self.shown)
            self.shown.append(int(dut.irq.value))


@cocotb.test()
async def interrupts_come_and_go_with_what_status_shows(dut):
    driver = await started(dut)
    interrupts = Interrupts(dut)

    async def begin(command: Command, cause: int) -> None:
        """What raised irq before is taken back."""
        await driver.write("CONTROL", command)
        await driver.wait(2)
        assert not dut.irq.value
        await driver.interrupt_on(cause)
        if command == Command.LOAD:
            driver.loadable.send_nowait(LOADABLE.head + LOADABLE.parameters)
        else:
            driver.ifmap.send_nowait(LOADABLE.pack_ifmap(tiny.ifmaps(1)[0]))

    async def ends(status: int) -> None:
        await RisingEdge(dut.irq)
        assert await driver.status() & ~Status.ERASING == status

    loaded = Status.LOADED | Status.KEYED
    await driver.load_key(tiny.KEY)
    await begin(Command.LOAD, Interrupt.LOADED | Interrupt.ERROR)
    await ends(loaded)
    await driver.interrupt_on(Interrupt.DONE | Interrupt.ERROR)
    await begin(Command.START, Interrupt.DONE | Interrupt.ERROR)
    await RisingEdge(dut.irq)
    sent = len(LOADABLE.head + LOADABLE.parameters) // CONFIG.bytes_per_beat
    assert driver.loadable.beats == sent, "sections are idle again"
    assert await driver.status() == loaded | Status.DONE
    assert interrupts.shown.index(1, interrupts.ended) - interrupts.ended == INTERRUPT_CYCLES
    await driver.interrupt_on(Interrupt.ERROR)
    await driver.wait(1)
    assert not dut.irq.value
    driver.loadable.send_nowait(LOADABLE.parameters[: -CONFIG.bytes_per_beat])
    await begin(Command.START, Interrupt.ERROR)
    await ends(Error.LOADABLE_TRUNCATED << 8)
    await driver.abort()

    await driver.load_key(tiny.KEY)
    await begin(Command.LOAD, 0)  # no bit, no interrupt
    since = len(interrupts.shown)
    while not await driver.status() & Status.LOADED:
        pass
    await begin(Command.START, 0)
    while not await driver.status() & Status.DONE:
        pass
    assert not any(interrupts.shown[since:])

    await begin(Command.LOAD, 0)
    while not await driver.status() & Status.LOADED:
        pass
    await begin(Command.START, sum(Interrupt))
    await driver.wait(100)
    assert dut.irq.value
    dut.rst.value = 1
    await driver.wait(3)
    since = len(interrupts.shown)
    await driver.reset()
    assert await driver.read("INTERRUPT") == 0
    await driver.wait(5000)  # longer than the run that was cut
    assert not any(interrupts.shown[since:])
    await works(driver)


@cocotb.test()
async def the_key_can_go_with_the_last_inference(dut):
    driver = await started(dut)
    await driver.write("CONFIG", 1)
    await works(driver)
    assert await driver.status() & ~Status.ERASING == Status.DONE  # the program goes with the key
    await driver.write("CONTROL", Command.START)
    assert (await driver.status()) >> 8 == Error.NO_PROGRAM
    await works(driver)
    await driver.write("CONFIG", 0)


@cocotb.test()
async def neither_key_nor_weights_can_be_read(dut):
    """Everything that can be read after, and everything that was written during a run, has no part of key or parameters."""
    driver = await started(dut)
    await works(driver)
    ifmaps = tiny.ifmaps(1)
    run = await driver.run(LOADABLE, list(ifmaps))
    seen = {"ofmap": np.stack(run.ofmaps).tobytes()}
    readable = {register.address for register in REGISTERS if register.access != Access.WRITE}
    for at in range(0, 0x1000, 4):
        answer = await driver._registers.read(at, 4)
        if answer.resp == AxiResp.OKAY and at in readable:
            seen[f"register 0x{at:03x}"] = bytes(answer.data)
        else:
            assert bytes(answer.data) == bytes(4), f"0x{at:03x}"
    plain = LOADABLE.unlocked(tiny.KEY).parameters
    # four bytes in a row are no accident: 2**-32 for each of the places
    secrets = {data[at : at + 4] for data in (tiny.KEY, plain) for at in range(len(data) - 3)}
    secrets |= {word[::-1] for word in secrets}
    for place, data in seen.items():
        assert not any(data[at : at + 4] in secrets for at in range(len(data) - 3)), place
