"""Results and errors of a run on the RTL."""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.spec.driver import RunResult

__all__ = ["SimResult", "SimulationError", "WatchdogError"]


class SimulationError(RuntimeError):
    """The simulation itself failed; the message ends with the last lines of its log."""


class WatchdogError(SimulationError):
    """The accelerator hangs."""


@dataclass(frozen=True, eq=False)
class SimResult:
    """A simulated batch.

    runs       one per process; each took the next ifmaps of the batch, back to back
    status     the STATUS register at the end of the last run
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
        """Clock cycles of all runs together; see RunResult."""
        return sum(run.cycles for run in self.runs)

    @property
    def cycles_per_second(self) -> float:
        """Simulated clock cycles per second of wall time, all processes together, start-up included."""
        return self.cycles / self.seconds
