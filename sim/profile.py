"""Profiles a run by layer: repeats it once for each layer."""

from collections.abc import Sequence

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.sim.run import simulate

__all__ = ["profile"]


def profile(
    loadable: Loadable,
    config: Config,
    key: bytes,
    ifmaps: Sequence[np.ndarray],
    whole: dict[str, int],
    simulator: str = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    progress: Progress = quiet,
) -> list[dict[str, int]]:
    """The hardware counters of each layer of the loadable's program, in cycles, summed over all inferences of a run.

    A layer's cycles begin when the last word of the layer before has entered the array and end when its own has. So waiting
    for results and for the ifmap counts for the layer that waits, and sending the last results for the last layer.

    whole   the counters of the run to profile, whose ofmaps are known to be right
    The other arguments are those of sim.run.simulate in that run; the same seed makes the same pauses.

    Raises DeeplockError if the layers' counters do not add up to `whole`, and whatever simulate raises.
    """
    layers = []
    count = len(loadable.program)
    for number in range(1, count + 1):

        def report(text: str, done: float = 0, total: float = 0, number: int = number) -> None:
            progress(f"layer {number} of {count}: {text}", number - 1 + (done / total if total else 0), count)

        run = simulate(loadable, config, key, ifmaps, simulator, pauses, seed, progress=report, profile=number)
        layers.append(run.counters)
    for name, cycles in whole.items():
        if (found := sum(counters[name] for counters in layers)) != cycles:
            raise DeeplockError(f"the layers' {name} add up to {found} cycles, those of the whole run are {cycles}")
    return layers
