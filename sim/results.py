"""What a run on the RTL gives, and how it fails."""

from dataclasses import dataclass

import numpy as np

from pymodel.errors import DeeplockError
from pymodel.registers import ERROR_TEXTS, Error

__all__ = ["AcceleratorError", "RunResult", "SimResult", "SimulationError", "WatchdogError"]


class AcceleratorError(DeeplockError):
    """The accelerator stopped with error `code` (pymodel.registers.Error) in STATUS."""

    def __init__(self, code: int) -> None:
        self.code = Error(code)
        super().__init__(f"the accelerator stopped with {self.code.name}: {ERROR_TEXTS[self.code]}")

    def __reduce__(self):  # so that it survives the way back from another process
        return type(self), (self.code,)


class WatchdogError(RuntimeError):
    """The accelerator hangs."""


class SimulationError(RuntimeError):
    """The simulation itself failed; the message ends with the last lines of its log."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """One START.

    ofmaps     int8 [h, w, c], one an inference
    counters   the hardware counters by name, in cycles
    cycles     clock cycles from the START command to STATUS.DONE as the driver saw it; a bound, the counters are exact
    """

    ofmaps: list[np.ndarray]
    counters: dict[str, int]
    cycles: int


@dataclass(frozen=True, eq=False)
class SimResult:
    """A simulated batch.

    runs       one a process, each with the next ifmaps of the batch, back to back
    status     the STATUS register at the end (of the last run)
    seconds    wall time of the simulation, without the build
    """

    runs: tuple[RunResult, ...]
    status: int
    seconds: float

    @property
    def ofmaps(self) -> list[np.ndarray]:
        """int8 [h, w, c], one an ifmap."""
        return [ofmap for run in self.runs for ofmap in run.ofmaps]

    @property
    def counters(self) -> dict[str, int]:
        """The hardware counters of all runs together, in cycles."""
        return {name: sum(run.counters[name] for run in self.runs) for name in self.runs[0].counters}

    @property
    def cycles(self) -> int:
        """Clock cycles of all runs together, as RunResult's."""
        return sum(run.cycles for run in self.runs)

    @property
    def cycles_per_second(self) -> float:
        """Simulated clock cycles per second of wall time, of all processes together, their starts included."""
        return self.cycles / self.seconds
