"""Drives the accelerator in a cocotb simulation: registers, key, loadable, ifmaps and ofmaps."""

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamSink

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec import driver
from deeplock.pymodel.spec.driver import AcceleratorError, RunResult
from deeplock.pymodel.spec.registers import Command, Interrupt, Status, address
from deeplock.sim.results import WatchdogError
from deeplock.sim.streams import FastSource, random_pauses

__all__ = ["PERIOD_NS", "Driver"]

PERIOD_NS = 2
_PORTS = ("s_axil_awaddr", "s_axis_loadable_tdata", "s_axis_ifmap_tdata", "m_axis_ofmap_tdata", "irq")
_POLL, _LOOK = 32, 1024
_QUEUED_PACKETS = 2


class Driver(driver.Driver):
    """One accelerator with the ports s_axil_*, s_axis_loadable_*, s_axis_ifmap_*, m_axis_ofmap_*, irq, and aclk and aresetn, as
    `deeplock verilog` writes it, or clk and rst. It drives all inputs, the clock too; `reset` starts that.

    pauses     probability of a pause in each cycle of each stream, at least 0, below 1
    seed       of the pauses
    watchdog   cycles without a beat on any stream after which a run counts as hung

    Methods take a `Loadable`. The streams `loadable`, `ifmap` (sources) and `ofmap` (sink) are public for tests that send
    what no driver would.
    """

    def __init__(self, dut, pauses: float = 0.0, seed: int = 0, watchdog: int = 200_000) -> None:
        self.dut, self.watchdog = dut, watchdog
        amba = hasattr(dut, "aclk")
        for port in (*_PORTS, *(("aresetn",) if amba else ("clk", "rst"))):
            if not hasattr(dut, port):
                raise DeeplockError(
                    f"{dut._name}: has no port {port}: the driver needs those that `deeplock verilog` gives"
                )
        for port in ("s_axil", "s_axis_loadable", "s_axis_ifmap", "m_axis_ofmap"):
            # cocotbext-axi logs every byte that it moves, including the key's
            logging.getLogger(f"cocotb.{dut._name}.{port}").setLevel(logging.CRITICAL)
        self._clock_port = dut.aclk if amba else dut.clk
        self._reset_port, self._in_reset = (dut.aresetn, 0) if amba else (dut.rst, 1)
        self._clock = Clock(self._clock_port, PERIOD_NS, unit="ns", impl="gpi")
        self._reset_port.value = self._in_reset
        common = (self._clock_port, self._reset_port, bool(self._in_reset))
        self._registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *common)
        self.loadable = FastSource(AxiStreamBus.from_prefix(dut, "s_axis_loadable"), *common)
        self.ifmap = FastSource(AxiStreamBus.from_prefix(dut, "s_axis_ifmap"), *common)
        self.ofmap = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_ofmap"), *common)
        self._feeders: list[Task] = []
        self._running = False
        self._offered = False  # the parameters of the next inference follow the program in its packet
        if pauses:
            for name in ("loadable", "ifmap", "ofmap"):
                getattr(self, name).set_pause_generator(random_pauses(pauses, f"{seed} {name}"))

    @property
    def cycle(self) -> int:
        """Clock cycles since the simulation began."""
        return int(get_sim_time("ns")) // PERIOD_NS

    async def wait(self, cycles: int) -> None:
        """Wait for this many clock cycles."""
        await Timer(cycles * PERIOD_NS, unit="ns")

    async def reset(self, cycles: int = 4) -> None:
        """Reset the device and forget what was sent."""
        self._reset_port.value = self._in_reset
        self._stop_feeding()
        for stream in (self.loadable, self.ifmap, self.ofmap):
            stream.clear()
        await self.wait(1)  # the first values settle before the first edge
        if not self._running:
            self._clock.start()
            self._running = True
        await self.wait(cycles)
        await RisingEdge(self._clock_port)
        self._reset_port.value = 1 - self._in_reset
        await self.wait(2)
        self._loaded, self._offered = None, False

    async def read(self, name: str) -> int:
        answer: Any = await self._registers.read(address(name), 4)
        if answer.resp != AxiResp.OKAY:
            raise OSError(f"read of {name}: {answer.resp.name}")
        return int.from_bytes(answer.data, "little")

    async def write(self, name: str, value: int) -> None:
        answer: Any = await self._registers.write(address(name), value.to_bytes(4, "little"))
        if answer.resp != AxiResp.OKAY:
            raise OSError(f"write of {name}: {answer.resp.name}")

    async def abort(self) -> None:
        """Stop the run; afterwards the device is idle, without key, with error code ABORTED."""
        await self.write("CONTROL", Command.ABORT)
        await self._recover()

    async def load_program(self, loadable) -> None:
        """Send header and program and wait for LOADED; the first inference's parameters follow in the same packet."""
        await self.write("CONTROL", Command.LOAD)
        self.loadable.send_nowait(loadable.head + loadable.parameters)
        await self._until(Interrupt.LOADED, lambda: "the loadable's header and program")
        self._loaded, self._offered = loadable, True

    async def run(
        self,
        loadable,
        ifmaps: Sequence[np.ndarray],
        progress: Callable[[int, int], None] | None = None,
        profile: int = 0,
    ) -> RunResult:
        """As pymodel.spec.driver.Driver; also raises WatchdogError if the device hangs."""
        if self._loaded is not loadable:
            await self.load_program(loadable)
        count = -(-len(ifmaps) // loadable.batch)
        await self.write("COUNT", count)
        await self.write("PROFILE", profile)
        surplus = count * loadable.batch - len(ifmaps)
        self._feed(self.ifmap, map(loadable.pack_ifmap, itertools.chain(ifmaps, itertools.repeat(ifmaps[-1], surplus))))
        self._feed(self.loadable, itertools.repeat(loadable.parameters, count - self._offered))
        self._offered = False
        begin, reported = self.cycle, 0
        await self.write("CONTROL", Command.START)

        def missing() -> str:
            return f"DONE, {self.ofmap.count()} of {count} ofmap packets came"

        def report() -> None:
            nonlocal reported
            if progress is not None and self.ofmap.count() != reported:
                reported = self.ofmap.count()
                progress(reported, count)

        try:
            await self._until(Interrupt.DONE, missing, report)
        finally:
            self._stop_feeding()
        cycles = self.cycle - begin
        for _ in range(self.watchdog):  # the last beats may still be on their way
            if self.ofmap.count() >= count:
                break
            await self.wait(1)
        else:
            raise WatchdogError(f"DONE, but {self.ofmap.count()} of {count} ofmap packets came")
        report()
        ofmaps = [
            ofmap for _ in range(count) for ofmap in loadable.unpack_ofmaps(bytes(self.ofmap.recv_nowait().tdata))
        ]
        return RunResult(ofmaps[: len(ifmaps)], await self.counters(), cycles)

    def _feed(self, stream: FastSource, packets: Iterable[bytes]) -> None:
        """Send packets in the background, with only a few of them in memory at a time."""

        async def send() -> None:
            for packet in packets:
                while stream.count() >= _QUEUED_PACKETS:
                    stream.dequeue_event.clear()
                    await stream.dequeue_event.wait()
                stream.send_nowait(packet)

        self._feeders.append(cocotb.start_soon(send()))

    def _stop_feeding(self) -> None:
        while self._feeders:
            self._feeders.pop().cancel()

    async def _until(self, cause: Interrupt, what: Callable[[], str], report: Callable[[], None] | None = None) -> None:
        """Wait for an interrupt; AcceleratorError for an error code. What comes before is looked at now and then."""
        await self.interrupt_on(cause | Interrupt.ERROR)
        await self.wait(1)  # irq follows
        beats, since = -1, self.cycle
        while not self.dut.irq.value:
            if report is not None:
                report()
            if (now := self.loadable.beats + self.ifmap.beats + self.ofmap.count()) != beats:
                beats, since = now, self.cycle
            elif self.cycle - since > self.watchdog:
                status = await self.status()
                raise WatchdogError(
                    f"no beat on any stream for {self.cycle - since} cycles, waiting for {what()}: "
                    f"STATUS 0x{status:04x}, {self.loadable.beats} loadable beats and {self.ifmap.beats} ifmap beats taken"
                )
            await First(RisingEdge(self.dut.irq), Timer(_LOOK * PERIOD_NS, unit="ns"))
        if error := await self.status() >> 8:
            await self._recover()
            raise AcceleratorError(error)

    async def _recover(self) -> None:
        """Wait until the device has flushed its streams, then drop all beats not yet sent or read."""
        self._stop_feeding()
        self.loadable.clear()
        self.ifmap.clear()
        begin = self.cycle
        while (status := await self.status()) & (Status.BUSY | Status.FLUSHING):
            if self.cycle - begin > self.watchdog:
                raise WatchdogError(f"the device does not become idle after an error: STATUS 0x{status:04x}")
            await self.wait(_POLL)
        for stream in (self.loadable, self.ifmap, self.ofmap):
            stream.assert_reset()
            stream.clear()
        self._loaded, self._offered = None, False
