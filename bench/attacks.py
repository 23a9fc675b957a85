"""`deeplock attack` on the trained networks that come with deeplock: resumable, in processes or on a Dask cluster."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeplock.bench.environment import machine
from deeplock.bench.kept import machines
from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.catalogue import Job, check_changes, compare_with_scratch, jobs, record, run_job
from deeplock.pymodel.attacks.target import SCHEMES
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import write_json
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.zoo import trained

__all__ = ["Laboratory", "Workers", "on_device", "read_results", "run_laboratory", "write_results"]

_EMPTY: dict[str, Any] = {"rows": [], "curves": [], "seconds": []}
_SETTINGS = ("scheme", "attack", "network", "budget", "seeds")


@dataclass(frozen=True)
class Laboratory:
    """Targets and settings of a set of attacks.

    schemes   only these; none: all that an attack concerns
    seeds     seeds of keys and attack
    quick     small budgets; digits always gets them
    changes   budget fields to set otherwise, as text
    images    test images
    """

    attacks: tuple[str, ...]
    networks: tuple[str, ...] = ("digits",)
    schemes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    quick: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    images: int = 2000

    def jobs(self) -> list[Job]:
        """The jobs; DeeplockError for unknown names, or if there is no job."""
        for name in self.networks:
            if name not in trained.NAMES:
                raise DeeplockError(f"no trained network {name!r}: must be one of {', '.join(trained.NAMES)}")
        if unknown := set(self.schemes) - set(SCHEMES):
            raise DeeplockError(f"scheme must be one of {', '.join(SCHEMES)}, not {min(unknown)}")
        check_changes(self.attacks, self.changes)
        found: list[Job] = []
        for name in self.networks:
            quick = self.quick or name == "digits"
            found += jobs(self.attacks, [name], self.seeds, quick, self.images, self.schemes, self.changes)
        if not found:
            raise DeeplockError(f"{' and '.join(self.attacks)} concerns none of the schemes {', '.join(self.schemes)}")
        return found


@dataclass(frozen=True)
class Workers:
    """processes   on this machine; None: one a core
    scheduler   address of a Dask cluster's scheduler, to use instead
    """

    processes: int | None = None
    scheduler: str | None = None

    @property
    def count(self) -> int:
        return self.processes or len(os.sched_getaffinity(0))


def _settings(row: dict[str, Any]) -> str:
    return json.dumps({name: row[name] for name in _SETTINGS}, sort_keys=True)


def on_device(row: dict[str, Any]) -> bool:
    """Whether a row of security.json is of `deeplock attack device`."""
    return "target" in row


def read_results(path: Path | None) -> dict[str, Any]:
    """A result file, or an empty one."""
    if path is None or not path.exists():
        return {name: [] for name in _EMPTY}
    try:
        found = json.loads(path.read_text())
        return {name: [entry for entry in found[name] if _settings(entry)] for name in _EMPTY}
    except (ValueError, KeyError, TypeError):
        raise DeeplockError(f"{path}: not a result of `deeplock attack`: remove it or give --fresh") from None


def _carry_out(job: Job, data_dir: str | None) -> tuple[list[Result], float]:
    """Run a job with one thread, in its own process or on a cluster's worker, so that each core runs one job."""
    import torch

    torch.set_num_threads(1)
    start = time.monotonic()
    return run_job(job, data_dir), time.monotonic() - start


def _chains(todo: Iterable[Job]) -> list[list[Job]]:
    """Chains of jobs with one target. A chain's jobs run in turn, so that usually one process makes the protected network."""
    found: dict[tuple[str, str, int], list[Job]] = {}
    for job in todo:
        found.setdefault((job.network, job.scheme, job.seed), []).append(job)
    return list(found.values())[::-1]


def _run_all(todo: list[Job], executor: Executor, at_once: int, data_dir: str | None, finished) -> None:
    """Run `at_once` chains at a time; call finished(job, results, seconds) as each job ends."""
    chains = _chains(todo)
    under_way: dict[Future[Any], list[Job]] = {}
    while chains or under_way:
        while chains and len(under_way) < at_once:
            chain = chains.pop()
            under_way[executor.submit(_carry_out, chain[0], data_dir)] = chain
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            job, *rest = under_way.pop(future)
            results, seconds = future.result()
            if rest:
                under_way[executor.submit(_carry_out, rest[0], data_dir)] = rest
            finished(job, results, seconds)


def _executor(workers: Workers, count: int):
    from deeplock.fpga.flow.jobs import cluster, processes  # synthesis uses the same

    if workers.scheduler:
        return cluster(workers.scheduler)
    return processes(min(workers.count, count)) if count > 1 else nullcontext()


def run_laboratory(
    asked: Laboratory,
    path: Path | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    workers: Workers = Workers(),
    progress: Progress = quiet,
) -> list[dict[str, Any]]:
    """Run the laboratory's jobs and return their rows.

    path   result file, rewritten after each job; jobs that it holds already are not run again unless `fresh`
    """
    wanted = asked.jobs()
    results = _only_devices(read_results(path)) if fresh else read_results(path)
    there = {_settings(row) for row in results["rows"] if not on_device(row)}
    todo = [job for job in wanted if _settings(job.settings) not in there]
    data_dir = str(data_dir) if data_dir else None
    done = len(wanted) - len(todo)

    def finished(job: Job, found: list[Result], seconds: float) -> None:
        nonlocal done
        done += 1
        rows, curves = record(job, found)
        results["rows"] += rows
        results["curves"] += curves
        results["seconds"].append(job.settings | {"seconds": round(seconds, 1)})
        compare_with_scratch([row for row in results["rows"] if not on_device(row)])
        write_results(path, results)
        progress(f"{job.name}: {found[0].metric} {found[0].value:.4g}, {seconds:.0f} s", done, len(wanted))

    if todo:
        progress(f"{len(todo)} attacks to do", done, len(wanted))
        with _executor(workers, len(todo)) as executor:
            if executor is None:
                start = time.monotonic()
                finished(todo[0], run_job(todo[0], data_dir, progress), time.monotonic() - start)
            else:
                _run_all(todo, executor, len(todo) if workers.scheduler else workers.count, data_dir, finished)
    shown = {_settings(job.settings) for job in wanted}
    return [row for row in results["rows"] if not on_device(row) and _settings(row) in shown]


def _only_devices(results: dict[str, Any]) -> dict[str, Any]:
    """Of a result file, the rows of `deeplock attack device`, which this laboratory leaves as they are."""
    return {name: [row for row in entries if on_device(row)] for name, entries in results.items()}


def write_results(path: Path | None, results: dict[str, Any]) -> None:
    """Write the rows in a fixed order, whatever the order in which the jobs ended."""
    order = {name: index for index, name in enumerate(trained.NAMES)}
    ordered = {
        name: sorted(
            entries,
            key=lambda row: (
                on_device(row),
                order[row["network"]],
                row["attack"],
                row["scheme"],
                row.get("target", ""),
                row.get("rtl", ""),
                _settings(row),
            ),
        )
        for name, entries in results.items()
    }
    command = (
        "deeplock attack --all --network mnist,fashion-mnist,cifar10 --data DIR --json docs/results/security.json; "
        "deeplock attack device --network digits,mnist --target golden,rtl --json docs/results/security.json"
    )
    there = json.loads(path.read_text()) if path is not None and path.exists() else {}
    write_json(path, {"command": command, "machine": machines(there, machine())} | ordered)
