"""The accelerator behind its memory master and a memory, without Python in the loop: runs whole loadables from memory."""

import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec import memory, registers
from deeplock.pymodel.spec.driver import AcceleratorError, RunResult
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import COUNTERS, key_writes
from deeplock.sim.build import TOP, build
from deeplock.sim.memory.design import MemoryDesign, accelerator_with_memory
from deeplock.sim.native import WATCHDOG, Program
from deeplock.sim.results import SimulationError, WatchdogError

__all__ = ["HOST", "MemoryHost", "run_from_memory"]

HOST = Path(__file__).with_suffix(".cpp")

_SIZE = 1 << 24
"""Bytes of the simulated memory."""


class MemoryHost(Program):
    """A simulated accelerator behind its memory master, driven command by command. Time passes only in commands.

    latency  cycles from the address of a burst to its first beat, at least 1
    pauses   probability of a pause in each cycle of each channel of AXI4, reproducible by `seed`
    """

    def __init__(
        self, design: MemoryDesign, latency: int, pauses: float = 0.0, seed: int = 0, progress: Progress = quiet
    ) -> None:
        program = build(design, "native", progress=progress, component=accelerator_with_memory, host=HOST) / TOP
        super().__init__(program, str(latency), str(_SIZE), repr(float(pauses)), str(seed & 0xFFFF_FFFF_FFFF_FFFF))

    def write(self, name: str, value: int, of_master: bool = False) -> None:
        """Write a register of the accelerator, or of the memory master."""
        where = memory.address(name) if of_master else registers.address(name)
        self._give(struct.pack("<cBII", b"w", of_master, where, value))
        if self._take("I") != (0,):
            raise SimulationError(f"register {name} refuses {value:#x}")

    def read(self, name: str, of_master: bool = False) -> int:
        where = memory.address(name) if of_master else registers.address(name)
        self._give(struct.pack("<cBI", b"r", of_master, where))
        response, value = self._take("II")
        if response:
            raise SimulationError(f"register {name} cannot be read")
        return value

    def fill(self, address: int, data: bytes) -> None:
        self._give(struct.pack("<cQQ", b"f", address, len(data)), data)

    def get(self, address: int, size: int) -> bytes:
        self._give(struct.pack("<cQQ", b"g", address, size))
        return self._bytes(size)

    def begin(self, command: memory.Command, address: int, size: int, packets: int = 1) -> None:
        """Begin a transfer, as soon as none waits."""
        while self.read("STATUS", of_master=True) & memory.Status.PENDING:
            pass
        for name, value in (("ADDRESS", address), ("BYTES", size), ("PACKETS", packets), ("CONTROL", command)):
            self.write(name, value, of_master=True)

    def until(self, cause: int, of_master: bool = False, cycles: int = WATCHDOG) -> None:
        """Wait for an interrupt of the accelerator or of the master.

        Raises AcceleratorError for an error code of the accelerator, SimulationError for one of the master, WatchdogError if
        nothing comes within `cycles`.
        """
        cause = int(cause)
        self.write("INTERRUPT", 0 if of_master else cause | registers.Interrupt.ERROR)
        self.write("INTERRUPT", (cause if of_master else 0) | memory.Interrupt.ERROR, of_master=True)
        self._give(struct.pack("<cQ", b"i", cycles))
        came = self._take("B") == (1,)
        status, master = self.read("STATUS"), self.read("STATUS", of_master=True)
        if master >> 8:
            raise SimulationError(f"memory master: {memory.ERROR_TEXTS[memory.Error(master >> 8)]}")
        if status >> 8:
            raise AcceleratorError(status >> 8)
        if not came:
            raise WatchdogError(
                f"no interrupt within {cycles} cycles: STATUS 0x{status:04x}, the master's 0x{master:04x}"
            )


def _aligned(size: int, beat: int) -> int:
    return -(-size // beat) * beat


def run_from_memory(
    loadable: Loadable,
    design: MemoryDesign,
    key: bytes,
    ifmaps: Sequence[np.ndarray],
    latency: int,
    pauses: float = 0.0,
    seed: int = 0,
    progress: Progress = quiet,
) -> RunResult:
    """Run ifmaps int8 [h, w, c], one an inference, back to back; loadable, ifmaps and ofmaps lie in the memory.

    latency, pauses, seed   as in MemoryHost

    Raises what MemoryHost.until raises.
    """
    beat, head, parameters = design.config.bytes_per_beat, bytes(loadable.head), bytes(loadable.parameters)
    packed = [loadable.pack_ifmap(ifmap) for ifmap in ifmaps]
    step = _aligned(len(packed[0]), beat)
    ofmap = prod(loadable.interface.output_shape)
    ofmap_step = _aligned(ofmap, beat)
    ifmaps_at = _aligned(len(head + parameters), beat)
    ofmaps_at = ifmaps_at + step * len(packed)
    with MemoryHost(design, latency, pauses, seed, progress) as host:
        host.fill(0, head + parameters)
        for number, packet in enumerate(packed):
            host.fill(ifmaps_at + number * step, packet)
        for name, value in key_writes(key):
            host.write(name, value)
        host.write("CONTROL", registers.Command.LOAD)
        host.begin(memory.Command.LOADABLE, 0, len(head + parameters))
        host.until(registers.Interrupt.LOADED)
        host.write("COUNT", len(packed))
        host.begin(memory.Command.OFMAP, ofmaps_at, ofmap, len(packed))
        host.begin(memory.Command.IFMAP, ifmaps_at, len(packed[0]), len(packed))
        if len(packed) > 1:
            host.begin(memory.Command.LOADABLE, len(head), len(parameters), len(packed) - 1)
        host.write("CONTROL", registers.Command.START)
        host.until(registers.Interrupt.DONE, cycles=WATCHDOG * len(packed) * 10)
        host.until(memory.Interrupt.IDLE, of_master=True)
        counters = {name: host.read(name) for name, _ in COUNTERS}
        ofmaps = [
            each
            for number in range(len(packed))
            for each in loadable.unpack_ofmaps(host.get(ofmaps_at + number * ofmap_step, ofmap))
        ]
    return RunResult(ofmaps, counters, counters["CYCLES"])
