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
    """A simulated run: as RunResult, and

    status     the STATUS register at the end
    seconds    wall time of the simulation, without the build
    """

    ofmaps: list[np.ndarray]
    counters: dict[str, int]
    cycles: int
    status: int
    seconds: float
