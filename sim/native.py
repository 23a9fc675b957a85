"""Simulation without Python in the loop: the accelerator under Verilator, driven by native.cpp.

Each build writes a header, constants.h, with the parts of the register map and of the ports that native.cpp needs.
"""

import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from amaranth import ClockDomain, Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In

from deeplock.pymodel.spec.registers import COUNTERS, REGISTERS, Command, Status, address
from deeplock.sim.results import SimulationError

__all__ = ["HOST", "RegisteredPorts", "constants_header", "run_native"]

HOST = Path(__file__).with_suffix(".cpp")
"""The C++ program around Verilator's model."""

_ERROR_SHIFT = 8


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
    """constants.h: register addresses, command and status bits, and bytes per beat of a device's streams."""
    streams = {"LOADABLE": "s_axis_loadable", "IFMAP": "s_axis_ifmap", "OFMAP": "m_axis_ofmap"}
    beats = {name: ports.members[port].signature.members["tdata"].shape for name, port in streams.items()}
    pairs = [(register.name, register.address) for register in REGISTERS]
    pairs += [(bit.name, bit.value) for bit in (*Command, *Status)]
    pairs += [("ERROR_SHIFT", _ERROR_SHIFT)]
    pairs += [(f"{name}_BEAT", Shape.cast(shape).width // 8) for name, shape in beats.items()]
    values = dict(pairs)
    assert len(values) == len(pairs), "names must differ"
    lines = [f"constexpr uint32_t {name} = {value};" for name, value in values.items()]
    counters = ", ".join(str(address(name)) for name, _ in COUNTERS)
    return "\n".join(
        [
            "// made by sim/native.py from pymodel/spec/registers.py and the device's ports",
            "#pragma once",
            "#include <cstdint>",
            "namespace constants {",
            *lines,
            f"constexpr uint32_t COUNTERS[] = {{{counters}}};",
            "}",
            "",
        ]
    )


def _blob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def run_native(
    program: Path,
    work: Path,
    key: bytes,
    head: bytes,
    parameters: bytes,
    ifmaps: Sequence[bytes],
    batch: int = 1,
    pauses: float = 0.0,
    seed: int = 0,
    watchdog: int = 200_000,
    profile: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run the inferences back to back. Returns {"status", "cycles", "counters", "ofmaps": bytes each}.

    An inference takes `batch` ifmaps; the number of ifmaps is a multiple of it.

    program   built by `sim.build.build` with simulator "native"
    work      folder for the job and the result; the key goes through a pipe and is in no file
    watchdog  cycles without a beat on any stream after which a run counts as hung
    profile   what the counters count, as in sim.run.simulate
    progress  called with the number of inferences done

    Raises SimulationError, with the program's message, if the device hangs or the program fails.
    """
    job, result = work / "job", work / "result"
    numbers = struct.pack("<QQQd", watchdog, seed & 0xFFFF_FFFF_FFFF_FFFF, profile, pauses)
    ifmap_blobs = struct.pack("<QQ", len(ifmaps) // batch, len(ifmaps)) + b"".join(map(_blob, ifmaps))
    job.write_bytes(numbers + _blob(head) + _blob(parameters) + ifmap_blobs)
    pipe = subprocess.PIPE
    with subprocess.Popen([program, job, result], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.write(key)
            process.stdin.close()
            said: list[bytes] = []
            listener = threading.Thread(target=lambda stream: said.append(stream.read()), args=(process.stderr,))
            listener.start()
            for line in process.stdout:
                if progress is not None:
                    progress(int(line))
            listener.join()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        text = b"".join(said).decode(errors="replace").strip()
        raise SimulationError(f"the simulation ended with exit code {process.returncode}: {text}")
    return _read_result(result.read_bytes())


def _read_result(data: bytes) -> dict[str, Any]:
    names = [name for name, _ in COUNTERS]
    status, cycles, *counts = struct.unpack_from(f"<{2 + len(names)}Q", data)
    ofmaps, at = [], 8 * (2 + len(names))
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        ofmaps.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    counters = dict(zip(names, counts, strict=True))
    return {"status": status, "cycles": cycles, "counters": counters, "ofmaps": ofmaps}
