"""Base class of the accelerator's drivers, in simulation and on boards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import COUNTERS, ERROR_TEXTS, Command, Error, key_writes

__all__ = ["AcceleratorError", "Driver", "RunResult"]


class AcceleratorError(DeeplockError):
    """The accelerator stopped with error `code` (pymodel.spec.registers.Error) in STATUS."""

    def __init__(self, code: int) -> None:
        self.code = Error(code)
        super().__init__(f"the accelerator stopped with {self.code.name}: {ERROR_TEXTS[self.code]}")

    def __reduce__(self):  # so that another process can pass it back
        return type(self), (self.code,)


@dataclass(frozen=True, eq=False)
class RunResult:
    """Result of one START.

    ofmaps     int8 [h, w, c], one per ifmap
    counters   the hardware counters by name, in cycles
    cycles     clock cycles from the START command until the driver saw STATUS.DONE: an upper bound, whereas the counters
               are exact; 0 if the driver sees no clock
    """

    ofmaps: list[np.ndarray]
    counters: dict[str, int]
    cycles: int


class Driver(ABC):
    """Loads keys and programs, and runs inferences. Each `loadable` is a pymodel.spec.loadable.Loadable.

    A key comes before the program: a device that loses its key forgets its program.
    """

    _loaded: Any = None
    """The loadable whose program the device has."""

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
        """Run inferences back to back, after loading the loadable's program if it is not the one loaded last.

        ifmaps     int8 [h, w, c] each, for 1 to 65535 inferences; the last ifmap is repeated to fill the last batch
        progress   called with (inferences done, total)
        profile    layer whose cycles the counters count, from 1; 0 for the whole run

        Raises AcceleratorError if the device stops with an error code.
        """

    async def status(self) -> int:
        """The STATUS register: bits of pymodel.spec.registers.Status, error code << 8."""
        return await self.read("STATUS")

    async def interrupt_on(self, causes: int) -> None:
        """Have `irq` high while STATUS shows one of these bits of pymodel.spec.registers.Interrupt; 0: never."""
        await self.write("INTERRUPT", causes)

    async def counters(self) -> dict[str, int]:
        """All hardware counters, in cycles."""
        return {name: await self.read(name) for name, _ in COUNTERS}

    async def load_key(self, key: bytes) -> None:
        """Put a key of 16, 24 or 32 bytes into the key register."""
        self._loaded = None
        for name, value in key_writes(key):
            await self.write(name, value)

    async def zeroise(self) -> None:
        """Clear the key register."""
        self._loaded = None
        await self.write("CONTROL", Command.ZEROISE)
