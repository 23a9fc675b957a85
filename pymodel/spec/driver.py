"""What drivers of the accelerator have in common, whatever carries registers and streams: a simulation or a board."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import COUNTERS, ERROR_TEXTS, Command, Error

__all__ = ["AcceleratorError", "Driver", "RunResult"]


class AcceleratorError(DeeplockError):
    """The accelerator stopped with error `code` (pymodel.spec.registers.Error) in STATUS."""

    def __init__(self, code: int) -> None:
        self.code = Error(code)
        super().__init__(f"the accelerator stopped with {self.code.name}: {ERROR_TEXTS[self.code]}")

    def __reduce__(self):  # so that it survives the way back from another process
        return type(self), (self.code,)


@dataclass(frozen=True, eq=False)
class RunResult:
    """One START.

    ofmaps     int8 [h, w, c], one an ifmap
    counters   the hardware counters by name, in cycles
    cycles     clock cycles from the START command to STATUS.DONE as the driver saw it; a bound, the counters are exact; 0
               where the driver sees no clock
    """

    ofmaps: list[np.ndarray]
    counters: dict[str, int]
    cycles: int


class Driver(ABC):
    """Keys, programs and runs. The `loadable` that methods take is a pymodel.spec.loadable.Loadable."""

    @abstractmethod
    async def read(self, name: str) -> int:
        """The value of a register; OSError if the device refuses."""

    @abstractmethod
    async def write(self, name: str, value: int) -> None:
        """Write a register; OSError if the device refuses."""

    @abstractmethod
    async def load_program(self, loadable) -> None:
        """Send header and program and wait for LOADED."""

    @abstractmethod
    async def run(
        self,
        loadable,
        ifmaps: Sequence[np.ndarray],
        progress: Callable[[int, int], None] | None = None,
        profile: int = 0,
    ) -> RunResult:
        """Run inferences back to back; loads the loadable's program first if it is not the one loaded last.

        ifmaps     int8 [h, w, c] each; they make 1 to 65535 inferences, the last one filled up with the last ifmap
        progress   called with (inferences done, of all)
        profile    what the counters count: this layer, from 1, or with 0 the whole run

        Raises AcceleratorError if the device stops with an error code.
        """

    async def status(self) -> int:
        """The STATUS register: bits of pymodel.spec.registers.Status, error code << 8."""
        return await self.read("STATUS")

    async def counters(self) -> dict[str, int]:
        """All hardware counters, in cycles."""
        return {name: await self.read(name) for name, _ in COUNTERS}

    async def load_key(self, key: bytes) -> None:
        """Put a key of 16, 24 or 32 bytes into the key register."""
        for index in range(0, len(key), 4):
            await self.write(f"KEY{index // 4}", int.from_bytes(key[index : index + 4], "little"))
        await self.write("KEY_SIZE", len(key))

    async def zeroise(self) -> None:
        """Clear the key register."""
        await self.write("CONTROL", Command.ZEROISE)
