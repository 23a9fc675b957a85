"""Simulates a whole image on the RTL: build, run cocotb in a process of its own, collect."""

import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from amaranth.lib.wiring import Component

from pymodel.config import Config
from pymodel.keyfile import write_key
from sim.bench import run_bench
from sim.build import build
from sim.results import AcceleratorError, SimResult

__all__ = ["simulate"]

_POLL_SECONDS = 0.2


def simulate(
    image,
    config: Config,
    key: bytes,
    ifmaps: Sequence[np.ndarray],
    simulator: str = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Callable[[str], None] | None = None,
    component: Callable[[Config], Component] | None = None,
) -> SimResult:
    """Run `image` (a pymodel.image.Image) on every ifmap, back to back, on the RTL of `config`.

    key        16, 24 or 32 bytes; b"" loads none (suite plain)
    ifmaps     int8 [h, w, c] each, 1 to 65535 of them
    pauses     probability of a pause in each cycle of each stream; `seed` makes them the same again
    waves      file for the signals, FST or VCD as the simulator writes; anybody who reads it has the key
    progress   called with a line of text now and then
    component  builds the device, by default the accelerator

    Raises AcceleratorError if the accelerator stops with an error code, DeeplockError if a program is missing,
    SimulationError if the simulation fails.
    """
    if not ifmaps:
        raise ValueError("ifmaps must hold at least one ifmap")
    folder = build(config, simulator, waves is not None, progress, component)
    with tempfile.TemporaryDirectory(prefix="deeplock-sim-") as name:
        job = Path(name)
        data = {
            "head": bytes(image.head),
            "parameters": bytes(image.parameters),
            "ifmaps": [bytes(image.pack_ifmap(ifmap)) for ifmap in ifmaps],
            "pauses": pauses,
            "seed": seed,
        }
        (job / "job").write_bytes(pickle.dumps(data))
        if key:
            write_key(job / "key", key)
        begin = time.monotonic()
        with _forwarded(job / "progress", len(ifmaps), progress):
            run_bench("sim.testbench", folder, simulator, job, {"DEEPLOCK_JOB": str(job)}, waves)
        seconds = time.monotonic() - begin
        result = pickle.loads((job / "result").read_bytes())
    if "error" in result:
        raise AcceleratorError(result["error"])
    ofmaps = [image.unpack_ofmap(ofmap) for ofmap in result["ofmaps"]]
    return SimResult(ofmaps, result["counters"], result["cycles"], result["status"], seconds)


@contextmanager
def _forwarded(path: Path, total: int, progress: Callable[[str], None] | None) -> Iterator[None]:
    """Hand the lines of a growing file on to `progress` while the body runs."""
    if progress is None:
        yield
        return
    path.touch()
    finished = threading.Event()

    def forward() -> None:
        with path.open() as file:
            while True:
                last = finished.wait(_POLL_SECONDS)
                lines = file.read().split()
                if lines:
                    progress(f"{lines[-1]} of {total} inferences")
                if last:
                    return

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
