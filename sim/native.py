"""Simulation without Python in the loop: the accelerator under Verilator, driven by native.cpp on command.

Each build writes a header, constants.h, with the parts of the register map and of the ports that native.cpp needs.
"""

import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from amaranth import ClockDomain, Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In

from deeplock.pymodel.spec.register_files import c_header
from deeplock.pymodel.spec.registers import COUNTERS, Command, Interrupt, Status, address, key_writes
from deeplock.sim.results import SimulationError, WatchdogError

__all__ = ["HOST", "WATCHDOG", "Native", "Program", "RegisteredPorts", "constants_header", "run_native"]

HOST = Path(__file__).with_suffix(".cpp")
"""The C++ program around Verilator's model."""

WATCHDOG = 200_000
"""Cycles without a beat on any stream after which a device counts as hung."""


class RegisteredPorts(wiring.Component):
    """`device` with a register at each input. It has no reset and starts from its initial values.

    Inputs then change only at the clock's edge, and Verilator evaluates the logic once a cycle instead of twice.

    Latency: one cycle from an input to the device, none to an output.

    Members: clk, and those of the device.
    """

    def __init__(self, device: Component) -> None:
        self._device = device
        super().__init__({"clk": In(1), **device.signature.members})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += sync.clk.eq(getattr(self, "clk"))  # noqa: B009
        m.submodules.device = self._device
        signature = self._device.signature
        for (_, member, inner), (_, _, outer) in zip(
            signature.flatten(self._device), signature.flatten(self), strict=True
        ):
            if member.flow == In:
                m.d.sync += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        return m


def constants_header(ports: wiring.Signature) -> str:
    """constants.h: the register map, and bytes per beat of what a device has of streams and memory."""
    data = {
        "LOADABLE": ("s_axis_loadable", "tdata"),
        "IFMAP": ("s_axis_ifmap", "tdata"),
        "OFMAP": ("m_axis_ofmap", "tdata"),
        "MEMORY": ("m_axi", "rdata"),
    }
    beats = {
        name: ports.members[port].signature.members[member].shape
        for name, (port, member) in data.items()
        if port in ports.members
    }
    lines = [f"#define {name}_BEAT {Shape.cast(shape).width // 8}" for name, shape in beats.items()]
    return "\n".join(["#pragma once", *lines, "", c_header()])


class Program:
    """A program that obeys commands on its stdin. Use it as a context manager.

    Every method raises SimulationError, with the program's message, if the program fails.
    """

    def __init__(self, *command: str | Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def _give(self, command: bytes, data: bytes = b"") -> None:
        try:
            self._to.write(command)
            self._to.write(data)  # apart, so that a long packet is not copied
            self._to.flush()
        except BrokenPipeError:
            self._fail()

    def _take(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self._bytes(struct.calcsize(f"<{form}")))

    def _bytes(self, size: int) -> bytes:
        data = self._from.read(size)
        if len(data) != size:
            self._fail()
        return data

    def _fail(self) -> NoReturn:
        assert self._process.stderr
        text = self._process.stderr.read().decode(errors="replace").strip()
        raise SimulationError(f"the simulation ended with exit code {self._process.wait()}: {text}")


class Native(Program):
    """A simulated accelerator as a process: registers and streams, driven command by command. Time passes only in commands.

    It starts without a reset.

    program   built by `sim.build.build` with simulator "native"
    pauses    probability of a pause in each cycle of each stream, reproducible by `seed`
    progress  called with the number of complete ofmap packets, while `poll` waits
    """

    def __init__(
        self, program: Path, pauses: float = 0.0, seed: int = 0, progress: Callable[[int], None] | None = None
    ) -> None:
        self._progress = progress
        super().__init__(program, repr(float(pauses)), str(seed & 0xFFFF_FFFF_FFFF_FFFF))

    def write(self, name: str, value: int) -> bool:
        """Write a register; False if the device refuses."""
        self._give(struct.pack("<cII", b"w", address(name), value))
        return self._take("I") == (0,)

    def read(self, name: str) -> int:
        """The value of a register; a refused read raises SimulationError."""
        self._give(struct.pack("<cI", b"r", address(name)))
        response, value = self._take("II")
        if response:
            raise SimulationError(f"the device refuses a read of register {name}")
        return value

    def send_loadable(self, packet: bytes) -> None:
        """Queue a packet for the loadable stream."""
        self._give(struct.pack("<cQ", b"l", len(packet)), packet)

    def send_ifmap(self, packet: bytes) -> None:
        """Queue a packet for the ifmap stream."""
        self._give(struct.pack("<cQ", b"i", len(packet)), packet)

    def drop(self) -> None:
        """Drop the queued packets of which no beat was taken yet."""
        self._give(b"d")

    def poll(self, mask: int, value: int, what: str, stop_at_error: bool = False, watchdog: int = WATCHDOG) -> int:
        """Wait until (STATUS & mask) == value or, if asked, STATUS has an error code. Returns STATUS. An interrupt on what it
        waits for makes it return sooner.

        Raises WatchdogError if no stream moves for `watchdog` cycles; `what` says in its message what did not come.
        """
        self._give(struct.pack("<cIIBQ", b"p", mask, value, stop_at_error, watchdog))
        done = 0
        while (answer := self._bytes(1)) == b"n":
            (done,) = self._take("Q")
            if self._progress is not None:
                self._progress(done)
        (status,) = self._take("I")
        if answer == b"h":
            idle, loadable, ifmap = self._take("QQQ")
            raise WatchdogError(
                f"watchdog: no beat on any stream for {idle} cycles, waiting for {what}: STATUS 0x{status:04x}, {loadable} "
                f"loadable beats and {ifmap} ifmap beats taken, {done} ofmap packets came"
            )
        return status

    def await_ofmaps(self, count: int, cycles: int = WATCHDOG) -> int:
        """Wait until `count` ofmap packets are complete, at most so many cycles. Returns their number."""
        self._give(struct.pack("<cQQ", b"k", count, cycles))
        return self._take("Q")[0]

    def take_ofmaps(self) -> list[bytes]:
        """The ofmap packets since the last call; the last item is what there is of an incomplete one."""
        self._give(b"o")
        (count,) = self._take("Q")
        return [self._bytes(*self._take("Q")) for _ in range(count)]

    def cycle(self) -> int:
        """Clock cycles so far."""
        self._give(b"c")
        return self._take("Q")[0]


def run_native(
    program: Path,
    key: bytes,
    head: bytes,
    parameters: bytes,
    ifmaps: Sequence[bytes],
    batch: int = 1,
    pauses: float = 0.0,
    seed: int = 0,
    watchdog: int = WATCHDOG,
    profile: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run the inferences back to back. Returns {"status", "cycles", "counters", "ofmaps": bytes each}.

    An inference takes `batch` ifmaps; the number of ifmaps is a multiple of it.

    watchdog  cycles without a beat on any stream after which a run counts as hung
    profile   what the counters count, as in sim.run.simulate
    progress  called with the number of inferences done

    The key goes through a pipe and is in no file. Raises WatchdogError if the device hangs, SimulationError if the program
    fails.
    """
    inferences, cycles, ofmaps = len(ifmaps) // batch, 0, []
    with Native(program, pauses, seed, progress) as device:
        for name, value in key_writes(key):
            device.write(name, value)
        device.write("CONTROL", Command.LOAD)
        device.write("INTERRUPT", Interrupt.LOADED | Interrupt.ERROR)
        device.send_loadable(head + parameters)
        status = device.poll(Status.LOADED, Status.LOADED, "the loadable's header and program", True, watchdog)
        if not status >> 8:
            device.write("COUNT", inferences)
            device.write("PROFILE", profile)
            for packet in ifmaps:
                device.send_ifmap(packet)
            for _ in range(inferences - 1):
                device.send_loadable(parameters)
            device.write("INTERRUPT", Interrupt.DONE | Interrupt.ERROR)
            begin = device.cycle()
            device.write("CONTROL", Command.START)
            status = device.poll(Status.DONE, Status.DONE, "DONE", True, watchdog)
            cycles = device.cycle() - begin
        if status >> 8:
            device.drop()
            device.poll(Status.BUSY | Status.FLUSHING, 0, "an idle device after an error", False, watchdog)
        elif device.await_ofmaps(inferences, watchdog) < inferences:  # the last beats may still be on their way
            raise WatchdogError("watchdog: DONE, but ofmaps are missing")
        else:
            ofmaps = device.take_ofmaps()[:-1]
            if progress is not None:
                progress(inferences)
        counters = {name: device.read(name) for name, _ in COUNTERS}
        return {"status": device.read("STATUS"), "cycles": cycles, "counters": counters, "ofmaps": ofmaps}
