"""Runs many syntheses at a time, in processes on this machine or on a Dask cluster."""

import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import active_children, get_context
from typing import Any

from deeplock.fpga.flow.designs import Design
from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Device, NoPlacement
from deeplock.fpga.flow.nextpnr import Placement
from deeplock.fpga.flow.synth import Area, measure_area, measure_clock
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.progress import Progress

__all__ = ["Job", "Result", "cluster", "processes", "run_for", "run_jobs"]

_CONNECT_SECONDS = 10


@dataclass(frozen=True, eq=False)
class Job:
    """A design on a device, with these seeds of place and route."""

    design: Design
    device: Device
    seeds: Sequence[int]

    @property
    def name(self) -> str:
        return f"{self.device.name} {self.design.name}"

    @property
    def programs(self) -> set[str]:
        """The programs that its figures come from."""
        return {"yosys", find_family(self.device.family).nextpnr}


@dataclass
class Result:
    """Result of a job: placements in the order of its seeds; error is "" or one line, why seeds have no placement."""

    job: Job
    area: Area
    placements: list[Placement] = field(default_factory=list)
    error: str = ""

    @property
    def best(self) -> Placement | None:
        """The fastest placement."""
        return max(self.placements, key=lambda placement: placement.fmax_mhz, default=None)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """An executor with `count` processes on this machine.

    After an error they end at once. The programs that they run end with the command (cli/descendants.py).
    """
    # Ctrl-C on a terminal reaches them too, but what ends them is this process
    with ProcessPoolExecutor(count, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as executor:
        try:
            yield executor
        except BaseException:
            for worker in active_children():
                worker.terminate()
            raise


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """An executor that is a Dask cluster; its workers need deeplock installed, as here.

    Raises DeeplockError if no scheduler answers at `address`.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise DeeplockError(f"no Dask scheduler at {address}: {error}") from None
    with client, client.get_executor() as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)  # cancels what has not begun
            raise


def run_jobs(
    jobs: Sequence[Job], executor: Executor, progress: Progress, kept: Collection[Job] = ()
) -> Iterator[Result]:
    """Synthesise every job, then place and route it with each seed, in parallel as far as the executor allows.

    Each result is given as soon as it is complete. Jobs in `kept` have their rows already: they are only counted.

    A design that does not fit gets a result with an error. Raises DeeplockError if a program is missing, RuntimeError if
    one fails.
    """
    names = {job: job.name for job in jobs}
    if len(jobs) > 1:
        count = f"of {len(jobs)} ({len(kept)} kept)"
        names = {job: f"row {number} {count}: {job.name}" for number, job in enumerate(jobs, 1)}
    todo = [job for job in jobs if job not in kept]
    areas = {executor.submit(measure_area, job.design, job.device): job for job in todo}
    clocks: dict[Future[Placement], tuple[Job, int]] = {}
    results: dict[Job, Result] = {}
    left: dict[Job, int] = {}
    total, finished = sum(1 + len(job.seeds) for job in todo), 0
    for job in todo[:1]:
        progress(f"{names[job]}: synthesis", 0, total)
    pending: set[Future[Any]] = set(areas)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            finished += 1
            if future in areas:
                job, area = areas[future], future.result()
                result = results[job] = Result(job, area)
                new: dict[Future[Placement], tuple[Job, int]] = {}
                text = f"{area.total['lut4']} LUT4"
                if excess := area.excess(job.device):
                    result.error = text = f"does not fit {job.device.name}: {excess}"
                    finished += len(job.seeds)
                else:
                    new = {
                        executor.submit(measure_clock, job.design, job.device, seed): (job, seed) for seed in job.seeds
                    }
                clocks |= new
                pending |= set(new)
                left[job] = len(new)
            else:
                job, seed = clocks[future]
                result = results[job]
                left[job] -= 1
                try:
                    placement = future.result()
                    result.placements.append(placement)
                    text = f"seed {seed}: {placement.fmax_mhz} MHz"
                except NoPlacement as error:
                    result.error = text = str(error)
            progress(f"{names[job]}: {text}", finished, total)
            if left[job] == 0:
                result.placements.sort(key=lambda placement, job=job: job.seeds.index(placement.seed))
                yield result


def run_for(
    seconds: float,
    job: Job,
    at_a_time: int,
    executor: Executor,
    progress: Progress,
    now: Callable[[], float] = time.monotonic,
) -> Result:
    """Synthesise the design of `job`, then place and route it with seeds 1, 2, ... for as long as the time allows, `at_a_time`
    of them together; the result's job has the seeds that this makes.

    It begins no further round if the longest one before would not end within `seconds` from now. There is at least one. Raises
    what `run_jobs` raises.
    """
    began = now()

    def told(text: str, *_: float) -> None:
        progress(text, min(now() - began, seconds), seconds)

    (result,) = run_jobs([replace(job, seeds=())], executor, told)
    longest, seeds, failed = 0.0, range(1, 1), ""
    while not result.error and (not seeds or now() - began + longest <= seconds):
        begun, more = now(), range(seeds.stop, seeds.stop + at_a_time)
        (found,) = run_jobs([replace(job, seeds=more)], executor, told)
        longest, seeds = max(longest, now() - begun), range(1, more.stop)
        result.placements += found.placements
        failed = found.error or failed
    return replace(result, job=replace(job, seeds=seeds), error=result.error or failed)
