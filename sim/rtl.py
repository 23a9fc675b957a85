"""Runs a loadable on the RTL and compares the result with the golden model. Imports cocotb, not PyTorch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.sim.run import simulate

__all__ = ["RtlRun", "run_on_rtl"]


@dataclass(frozen=True, eq=False)
class RtlRun:
    """A run on the RTL.

    ofmaps      int8 [n, height, width, channels]
    mismatches  bytes that differ from the golden model with the same key
    counters    hardware counters of the whole run, in cycles
    seconds     wall time of the simulation
    """

    ofmaps: np.ndarray
    mismatches: int
    counters: dict[str, int]
    seconds: float

    def per_image(self, counter: str) -> float:
        """A counter's cycles per image, to a hundredth."""
        return round(self.counters[counter] / len(self.ofmaps), 2)

    @property
    def cycles_per_image(self) -> float:
        return self.per_image("CYCLES")


def run_on_rtl(
    loadable: Loadable,
    config: Config,
    key: bytes,
    ifmaps: np.ndarray,
    simulator: str = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Progress = quiet,
) -> RtlRun:
    """Run int8 ifmaps [n, height, width, channels] back to back; arguments as in sim.run.simulate. Under a licence `key` is the
    device's."""
    result = simulate(loadable, config, key, list(ifmaps), simulator, pauses, seed, waves, progress)
    ofmaps = np.stack(result.ofmaps)
    mismatches = int((ofmaps != expected_ofmaps(loadable, config, key, ifmaps)).sum())
    return RtlRun(ofmaps, mismatches, result.counters, round(result.seconds, 2))
