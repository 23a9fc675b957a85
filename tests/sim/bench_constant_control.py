"""cocotb tests that no secret shows in handshakes and counters; test_constant_control.py runs them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import COUNTERS, Command, Error, Interrupt, Status
from deeplock.sim.driver import Driver
from deeplock.sim.streams import random_pauses
from tests.sim import mini, tiny

SUITE = os.environ["DEEPLOCK_TEST_SUITE"]
THOROUGH = bool(os.environ.get("DEEPLOCK_TEST_THOROUGH"))
"""The larger network and more secrets; else what a slow simulator can do."""
CONFIG = mini.config_of(SUITE)
PLAIN = tiny.tiny_loadable(mini.config_of("plain")) if THOROUGH else mini.mini_loadable(CONFIG)
BEAT = CONFIG.bytes_per_beat
SHOWN = (
    "s_axis_loadable_tready",
    "s_axis_ifmap_tready",
    *(f"m_axis_ofmap_{name}" for name in ("tvalid", "tlast", "tkeep")),
    "irq",
)
AFTER = 100
"""Cycles behind the end of a run that are watched too."""


@dataclass(frozen=True)
class Job:
    """Two inferences. key: b"" if the suite does not lock."""

    key: bytes
    loadable: Loadable
    ifmaps: tuple[bytes, bytes]

    @property
    def sections(self) -> tuple[bytes, bytes]:
        return self.loadable.parameters, self.loadable.parameters


@dataclass(frozen=True)
class Seen:
    """What anyone sees of a job from LOAD on.

    handshakes  of each cycle, and whether there is an interrupt
    taken       number of the cycle in which each loadable beat was taken
    reports     values of STATUS, one after the other, and of all counters at the end
    """

    handshakes: list[tuple[str, ...]]
    taken: list[int]
    reports: list[int]

    @property
    def status(self) -> int:
        """The last one."""
        return self.reports[-1 - len(COUNTERS)]

    @property
    def packets(self) -> int:
        """Cycles in which a packet's last beat was offered."""
        return sum(shown[2:4] == ("1", "1") for shown in self.handshakes)


def job_of(seed: int | None, fill: int = 0) -> Job:
    """The program with secrets from the seed; without one, all of their bytes are `fill`."""
    rng = np.random.default_rng(seed)

    def draw(size: int) -> bytes:
        return bytes([fill] * size) if seed is None else rng.bytes(size)

    key = draw(16) if suite(SUITE).locks else b""
    loadable = replace(PLAIN, parameters=draw(len(PLAIN.parameters))).locked(SUITE, key)
    size = loadable.header.ifmap_beats * CONFIG.rows
    return Job(key, loadable, (draw(size), draw(size)))


async def watch(dut, handshakes: list[tuple[str, ...]], taken: list[int]) -> None:
    signals = [getattr(dut, name) for name in SHOWN]
    while True:
        await RisingEdge(dut.clk)
        values = tuple(str(signal.value) for signal in signals)
        if values[2] == "0":
            values = values[:3] + values[-1:]  # tlast and tkeep mean nothing
        if values[0] == "1" and dut.s_axis_loadable_tvalid.value:
            taken.append(len(handshakes))
        handshakes.append(values)


async def seen(driver: Driver, pauses: float, job: Job, sections: Sequence[bytes] = ()) -> Seen:
    """Both inferences, with other parameter sections than the job's own if there are some; or as far as they go."""
    sections, reports = sections or job.sections, []
    streams = {"loadable": driver.loadable, "ifmap": driver.ifmap, "ofmap": driver.ofmap}
    for stream in streams.values():
        stream.clear_pause_generator()
        stream.pause = False
    await driver.reset()
    await driver.load_key(job.key)
    await driver.interrupt_on(sum(Interrupt))
    while await driver.status() & Status.ERASING:
        pass
    if pauses:
        for name, stream in streams.items():
            stream.set_pause_generator(random_pauses(pauses, name))
    handshakes, taken = [], []
    watcher = cocotb.start_soon(watch(driver.dut, handshakes, taken))

    async def settles(bit: Status) -> bool:
        """Whether the bit came, and no error."""
        for _ in range(2000):
            reports.append(await driver.status())
            if reports[-1] & bit or reports[-1] >> 8:
                return not reports[-1] >> 8
            await driver.wait(8)
        raise AssertionError(f"no {bit.name}")

    await driver.write("CONTROL", Command.LOAD)
    driver.loadable.send_nowait(job.loadable.head + sections[0])
    if await settles(Status.LOADED):
        await driver.write("COUNT", 2)
        for packet in job.ifmaps:
            driver.ifmap.send_nowait(packet)
        driver.loadable.send_nowait(sections[1])
        await driver.write("CONTROL", Command.START)
        await settles(Status.DONE)
    await driver.wait(AFTER)
    watcher.cancel()
    reports += [await driver.status(), *(await driver.counters()).values()]
    return Seen(handshakes, taken, reports)


def same(found: Seen, expected: Seen, cycles: int | None = None) -> None:
    """The same in all cycles, or in as many as given."""
    for cycle, (here, there) in enumerate(zip(found.handshakes[:cycles], expected.handshakes[:cycles], strict=True)):
        assert here == there, f"cycle {cycle}: {here}, not {there}"
    if cycles is None:
        assert found == expected


async def started(dut) -> Driver:
    driver = Driver(dut)
    await driver.reset()
    return driver


@cocotb.test()
async def no_secret_shows(dut):
    """Key, weights and ifmaps: random ones, and those that are the most alike."""
    driver = await started(dut)
    jobs = [job_of(2), job_of(None, 0), *([job_of(None, 255), job_of(None, 128), job_of(3)] if THOROUGH else [])]
    for pauses in (0.0, 0.3) if THOROUGH else (0.0,):
        first = await seen(driver, pauses, job_of(1))
        assert first.status & Status.DONE and first.packets >= 2
        for job in jobs:
            same(await seen(driver, pauses, job), first)


@cocotb.test(skip=not suite(SUITE).seals)
async def a_wrong_tag_shows_only_behind_itself(dut):
    """All is as with the right one until the cycle after the tag, and then the same whatever is wrong."""
    driver = await started(dut)
    pauses, job = 0.3, job_of(1)
    right, last = await seen(driver, pauses, job), 8 * len(job.loadable.parameters) - 1
    assert len(right.taken) == (len(job.loadable.head) + 2 * len(job.loadable.parameters)) // BEAT
    wrong = []
    for bit in (last, 0, *((last - 37, 200, last - 8 * len(job.loadable.head_tag)) if THOROUGH else ())):
        section = flip(job.loadable.parameters, bit)
        wrong.append(await seen(driver, pauses, job, (job.loadable.parameters, section)))
        assert wrong[-1].status >> 8 == Error.BAD_TAG
        same(wrong[-1], right, right.taken[-1] + 2)
        same(wrong[-1], wrong[0])
    assert wrong[0].packets and "1" not in {shown[2] for shown in wrong[0].handshakes[right.taken[-1] :]}


@cocotb.test(skip=not suite(SUITE).seals)
async def a_wrong_head_shows_only_behind_its_tag(dut):
    driver = await started(dut)
    pauses, job = 0.3, job_of(1)
    right, head, wrong = await seen(driver, pauses, job), job.loadable.head, []
    changed = replace(job.loadable, head_tag=flip(job.loadable.head_tag, 0))
    named = replace(job.loadable, header=replace(job.loadable.header, model_low=5))
    others = [
        replace(job, key=job_of(2).key),
        replace(job, loadable=changed),
        replace(job, loadable=named),
        replace(job, key=flip(job.key, 0)),
    ]
    for other in others if THOROUGH else others[:2]:
        wrong.append(await seen(driver, pauses, other))
        assert wrong[-1].status >> 8 == Error.BAD_TAG
        same(wrong[-1], right, right.taken[len(head) // BEAT - 1] + 2)
        same(wrong[-1], wrong[0])
    assert "1" not in {shown[2] for shown in wrong[0].handshakes}
