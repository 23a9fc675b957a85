"""`deeplock attack` on the trained networks that come with deeplock: jobs over processes or a Dask cluster, resumable."""

import argparse
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from deeplock.bench.rtl import machine
from deeplock.cli.output import Progress, print_table, write_json
from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.catalogue import Job, check_changes, compare_with_scratch, jobs, record, run_job
from deeplock.pymodel.attacks.target import SCHEMES
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import trained

__all__ = ["run_laboratory"]

_EMPTY: dict[str, Any] = {"rows": [], "curves": [], "seconds": []}
_SETTINGS = ("scheme", "attack", "network", "budget", "seeds")


def _settings(row: dict[str, Any]) -> str:
    return json.dumps({name: row[name] for name in _SETTINGS}, sort_keys=True)


def _earlier(path: Path | None) -> dict[str, Any]:
    """A result file, or an empty one."""
    if path is None or not path.exists():
        return {name: [] for name in _EMPTY}
    try:
        found = json.loads(path.read_text())
        return {name: [entry for entry in found[name] if _settings(entry)] for name in _EMPTY}
    except (ValueError, KeyError, TypeError):
        raise DeeplockError(f"{path}: not a result of `deeplock attack`: remove it or give --fresh") from None


def _carry_out(job: Job, data_dir: str | None) -> tuple[list[Result], float]:
    """In a process of its own or on a worker of the cluster: one thread, so that as many run as there are cores."""
    import torch

    torch.set_num_threads(1)
    start = time.monotonic()
    return run_job(job, data_dir), time.monotonic() - start


def _chains(todo: Iterable[Job]) -> list[list[Job]]:
    """Jobs by target: a chain runs one after the other, so that mostly one process makes the protected network."""
    found: dict[tuple[str, str, int], list[Job]] = {}
    for job in todo:
        found.setdefault((job.network, job.scheme, job.seed), []).append(job)
    return list(found.values())[::-1]


def _run_all(todo: list[Job], executor: Executor, at_once: int, data_dir: str | None, finished) -> None:
    """finished(job, results, seconds) as each ends. `at_once` chains are under way."""
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


def _executor(args: argparse.Namespace, count: int):
    from deeplock.fpga.flow.jobs import cluster, processes  # the same ones that synthesis runs in

    if args.scheduler:
        return cluster(args.scheduler)
    return processes(min(args.jobs or len(os.sched_getaffinity(0)), count)) if count > 1 else nullcontext()


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _show(job: Job) -> str:
    given = {
        name: value for name, value in job.settings["budget"].items() if name in ("share", "learning_rate", "reset")
    }
    return ", ".join(f"{name} {value}" for name, value in given.items()).replace("_", " ") or "-"


def run_laboratory(args: argparse.Namespace, attacks: tuple[str, ...]) -> None:
    """Carry out what the result file does not have yet; it is written anew after each job."""
    for name in args.network:
        if name not in trained.NAMES:
            raise DeeplockError(f"no trained network {name!r}: must be one of {', '.join(trained.NAMES)}")
    if unknown := set(args.scheme) - set(SCHEMES):
        raise DeeplockError(f"scheme must be one of {', '.join(SCHEMES)}, not {min(unknown)}")
    changes = args.budget or {}
    check_changes(attacks, changes)
    wanted: list[Job] = []
    for network in args.network:
        quick = args.quick or network == "digits"
        wanted += jobs(attacks, [network], args.seeds, quick, args.count, args.scheme, changes)
    if not wanted:
        raise DeeplockError(f"{' and '.join(attacks)} concerns none of the schemes {', '.join(args.scheme)}")
    results = {name: [] for name in _EMPTY} if args.fresh else _earlier(args.json)
    there = {_settings(row) for row in results["rows"]}
    todo = [job for job in wanted if _settings(job.settings) not in there]
    data_dir = str(args.data_dir) if args.data_dir else None
    done = len(wanted) - len(todo)

    with Progress() as progress:

        def finished(job: Job, found: list[Result], seconds: float) -> None:
            nonlocal done
            done += 1
            rows, curves = record(job, found)
            results["rows"] += rows
            results["curves"] += curves
            results["seconds"].append(job.settings | {"seconds": round(seconds, 1)})
            compare_with_scratch(results["rows"])
            _write(args.json, results)
            progress(f"{done} of {len(wanted)}: {job.name}: {found[0].metric} {found[0].value:.4g}, {seconds:.0f} s")

        if todo:
            progress(f"{len(todo)} of {len(wanted)} to do")
            with _executor(args, len(todo)) as executor:
                if executor is None:
                    start = time.monotonic()
                    finished(todo[0], run_job(todo[0], data_dir, progress), time.monotonic() - start)
                else:
                    at_once = len(todo) if args.scheduler else args.jobs or len(os.sched_getaffinity(0))
                    _run_all(todo, executor, at_once, data_dir, finished)
    shown = {_settings(job.settings): job for job in wanted}
    head = ("network", "scheme", "attack", "budget", "figure", "value", "yardstick")
    rows = [row for row in results["rows"] if _settings(row) in shown]
    print_table(
        [
            (
                *(row[name] for name in ("network", "scheme", "attack")),
                _show(shown[_settings(row)]),
                row["metric"],
                _cell(row["value"]),
                _cell(row["yardstick"]),
            )
            for row in rows
        ],
        head,
    )
    if args.json:
        print(f"figures: {args.json}")


def _write(path: Path | None, results: dict[str, Any]) -> None:
    """Rows in one order, whatever the order in which they came."""
    order = {name: index for index, name in enumerate(trained.NAMES)}
    ordered = {
        name: sorted(entries, key=lambda row: (order[row["network"]], row["attack"], row["scheme"], _settings(row)))
        for name, entries in results.items()
    }
    command = "deeplock attack --all --network mnist,fashion-mnist,cifar10 --data DIR --json docs/results/security.json"
    write_json(path, {"command": command, "machine": machine()} | ordered)
