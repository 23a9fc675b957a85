"""Simulates a whole loadable on the RTL: builds, runs in separate processes, collects the results."""

import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.scratch import scratch
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError, RunResult
from deeplock.sim.bench import run_bench
from deeplock.sim.build import TOP, build
from deeplock.sim.native import WATCHDOG, run_native
from deeplock.sim.results import SimResult

__all__ = ["forwarded", "simulate"]

_POLL_SECONDS = 0.2


def simulate(
    loadable,
    config: Config,
    key: bytes,
    ifmaps: Sequence[np.ndarray],
    simulator: str = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Progress = quiet,
    component: Callable[[Config], Component] | None = None,
    jobs: int = 1,
    watchdog: int = WATCHDOG,
    profile: int = 0,
) -> SimResult:
    """Run `loadable` (a pymodel.spec.loadable.Loadable) on every ifmap, back to back, on the RTL of `config`.

    simulator  "verilator" or "icarus" under cocotb, or "native": Verilator without Python in the loop. "native" is many
               times faster and cycle for cycle the same (pauses come at other times); it starts without a reset
    key        16, 24 or 32 bytes; b"" loads none (suite plain)
    ifmaps     int8 [h, w, c] each, for 1 to 65535 inferences; the last ifmap is repeated to fill the last batch
    pauses     probability of a pause in each cycle of each stream; reproducible by `seed`
    waves      file for the signals, FST or VCD as the simulator writes; whoever reads it has the key
    progress   called with the current step and the number of inferences done
    component  builds the device, by default the accelerator
    jobs       processes at a time, each with its share of the ifmaps; more than one with "native" only
    watchdog   cycles without a beat on any stream after which a run counts as hung
    profile    what the counters count: this layer, from 1, or the whole run if 0

    Raises AcceleratorError if the accelerator stops with an error code, DeeplockError if a program is missing,
    SimulationError if the simulation fails or the accelerator hangs.
    """
    if not ifmaps:
        raise ValueError("ifmaps must hold at least one ifmap")
    if waves is not None and simulator == "native":
        raise DeeplockError("simulator native writes no waves: use verilator or icarus")
    if jobs < 1 or (jobs > 1 and simulator != "native"):
        raise ValueError(f"jobs must be 1, or more with simulator native, not {jobs} with {simulator}")
    folder = build(config, simulator, waves is not None, progress, component)
    packed = [bytes(loadable.pack_ifmap(ifmap)) for ifmap in ifmaps]
    job: dict[str, Any] = {
        "head": bytes(loadable.head),
        "parameters": bytes(loadable.parameters),
        "ifmaps": packed + packed[-1:] * (-len(packed) % loadable.batch),
        "batch": loadable.batch,
        "pauses": pauses,
        "seed": seed,
        "watchdog": watchdog,
        "profile": profile,
    }
    begin = time.monotonic()
    if simulator == "native":
        results = _run_natively(folder / TOP, key, job, jobs, progress)
    else:
        results = [_run_cocotb(folder, simulator, key, job, waves, progress)]
    seconds = time.monotonic() - begin
    for result in results:
        if code := result["status"] >> 8:
            raise AcceleratorError(code)
    left, runs = len(ifmaps), []
    for result in results:
        ofmaps = [ofmap for packet in result["ofmaps"] for ofmap in loadable.unpack_ofmaps(packet)][:left]
        runs.append(RunResult(ofmaps, result["counters"], result["cycles"]))
        left -= len(ofmaps)
    return SimResult(tuple(runs), results[-1]["status"], seconds)


def _run_natively(
    program: Path, key: bytes, job: dict[str, Any], jobs: int, progress: Progress
) -> list[dict[str, Any]]:
    """Split the job's inferences evenly over `jobs` processes. Returns the results in their order."""
    ifmaps, batch = job["ifmaps"], job["batch"]
    inferences = len(ifmaps) // batch
    jobs = min(jobs, inferences)
    bounds = [inferences * index // jobs * batch for index in range(jobs + 1)]
    done = [0] * jobs

    def run(index: int) -> dict[str, Any]:
        def report(finished: int) -> None:
            done[index] = finished
            progress("simulating inferences", sum(done), inferences)

        share = {**job, "ifmaps": ifmaps[bounds[index] : bounds[index + 1]], "seed": job["seed"] + index}
        return run_native(program, key, **share, progress=report)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, range(jobs)))


def _run_cocotb(
    folder: Path, simulator: str, key: bytes, job: dict[str, Any], waves: Path | None, progress: Progress
) -> dict[str, Any]:
    with scratch() as work:
        (work / "job").write_bytes(pickle.dumps(job))
        if key:
            write_key(work / "key", key)
        with forwarded(work / "progress", len(job["ifmaps"]) // job["batch"], progress):
            run_bench("deeplock.sim.testbench", folder, simulator, work, {"DEEPLOCK_JOB": str(work)}, waves)
        return pickle.loads((work / "result").read_bytes())


@contextmanager
def forwarded(path: Path, total: int, progress: Progress) -> Iterator[None]:
    """While the body runs, report to `progress` the numbers of inferences that are appended to a file."""
    path.touch()
    finished = threading.Event()

    def forward() -> None:
        with path.open() as file:
            while True:
                last = finished.wait(_POLL_SECONDS)
                lines = file.read().split()
                if lines:
                    progress("simulating inferences", int(lines[-1]), total)
                if last:
                    return

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
