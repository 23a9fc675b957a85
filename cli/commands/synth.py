"""Synthesise accelerators for FPGAs: resources by module, clock frequency, critical path; bitstreams of boards.

Runs Yosys and nextpnr for one accelerator, for a board or, with --sweep, for a table of accelerators, boards and components
(fpga/flow/sweep.py describes the file). An accelerator is placed alone, between registers (fpga/flow/harness.py); a board's
design is placed whole, on the board's pins; a board has a suite that seals and takes licences, unless --suite or
--no-licences say otherwise. If a seed reaches the board's clock, the fastest seed's bitstream is written for
`deeplock program`. --minutes places as many seeds as there is time for. With --loadable it says how many images a second to
expect: of the array by the cycles of the compiler's model, at the board's clock or at the median of the seeds; on a board also
the most that flash and host link allow. Netlists and placements are kept and reused for the same RTL and the same tools. A
sweep writes each row to the --json file when it is measured. Started again, it keeps the rows of that file that were measured
from the same RTL, with the same seeds and tools. The exit code is 1 if something does not fit, or a board does not reach its
clock.

examples:
  deeplock synth --board icebreaker
  deeplock synth --board icebreaker --suite deep-lock
  deeplock synth --board ulx3s-85f --suite plain --seeds 3 -o build/plain.bit
  deeplock synth --board ulx3s-85f --minutes 60 --loadable build/mnist.loadable
  deeplock synth --device lfe5u-85f --rows 8 --cols 16 --bytes-per-beat 16 --sbox rom
  deeplock synth --sweep fpga/flow/area.toml --json docs/results/area.json
  deeplock synth --sweep fpga/flow/area.toml --scheduler tcp://10.0.0.1:8786 --json docs/results/area.json

JSON: {"command", "rows": [{"device", "board": its name or null, the fields of the configuration ("rows", "cols",
  "bytes_per_beat", "lanes", "suite", "key_sizes", "sbox", ...; "sbox" null where the suite does not lock), "seeds": [the
  seeds], "lut4", "ff", "carry", "bram", "dsp", "spram", "lutram", "fmax_mhz": [one per seed that has a placement],
  "critical_path": [[module, ns]] of the slowest, "cells": {by nextpnr's names: [used, available], harness included},
  "modules": {name: {resources}}, "harness": {resources}, "error": "" or why there is no clock, "digest": of the RTL,
  constraints, device and options that it was measured from; of a board also "clock_mhz": what it needs, "meets": whether a
  seed reaches that}], "components": [the same, but "component" and its arguments for the configuration], "tools": {program:
  version}, with --loadable and a clock "projection": {"network", "suite", "clock_mhz", "expected_cycles": an image, and images
  a second by "array", "flash", "sdram", "link"; null for what there is none of}}
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.cli.options import add_config, add_json, add_output, config_given, positive, refuse_given
from deeplock.pymodel.lock.suites import suite

if TYPE_CHECKING:
    from deeplock.fpga.boards.board import Board
    from deeplock.fpga.flow.jobs import Job
    from deeplock.pymodel.spec.config import Config
    from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["add_arguments", "run"]


def _bitstreams(args: argparse.Namespace) -> list[Path]:
    """Where a board's bitstream goes; none without a board."""
    if args.board is None:
        return []

    from deeplock.fpga.boards import board
    from deeplock.fpga.flow.families import find_device, find_family

    family = find_family(find_device(board(args.board).device).family)
    return [args.output or Path("build", f"{args.board}{family.bitstream}")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--device", metavar="D", help="FPGA, such as lfe5u-85f (an unknown name lists all)")
    what.add_argument("--board", metavar="B", help="board, such as icebreaker (an unknown name lists all)")
    what.add_argument("--sweep", type=Path, metavar="FILE", help="table of devices, boards and designs, TOML")
    count = parser.add_mutually_exclusive_group()
    count.add_argument("--seeds", type=positive, metavar="N", default=5, help="placements of each design (5)")
    count.add_argument(
        "--minutes", type=positive, metavar="N", help="as many placements as end within N minutes, or one"
    )
    parser.add_argument("--loadable", type=Path, metavar="FILE", help="images a second to expect of it")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive, metavar="N", help="programs at a time on this machine (one a core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="run on a Dask cluster: tcp://HOST:PORT of its scheduler")
    text = "where a board's bitstream goes (build/B with the suffix of its family, such as build/icebreaker.bin)"
    add_output(parser, "-o", "--output", metavar="BITSTREAM", files=_bitstreams, help=text)
    add_json(parser)
    group = parser.add_argument_group("accelerator", "for --device (defaults in brackets), or to replace the board's")
    add_config(group)


def _refuse_useless(args: argparse.Namespace, name: str) -> None:
    """Options that only some suites have."""
    if suite(name).sbox is None:
        refuse_given(args, f"with suite {name}, which has no S-box", "sbox")
    if not suite(name).locks:
        refuse_given(args, f"with suite {name}, which takes no key", "key_sizes")


def _accelerator(args: argparse.Namespace) -> "tuple[Config, Board | None]":
    """What --board or --device ask for, and the board that it is on."""
    from dataclasses import replace

    from deeplock.fpga.boards import board
    from deeplock.pymodel.spec.config import Config

    given = config_given(args)
    if args.board is None:
        _refuse_useless(args, given.get("suite", Config.suite))
        return Config(**given), None
    there = board(args.board).for_suite(given.pop("suite", None), given.pop("licences", None))
    _refuse_useless(args, there.config.suite)
    there = replace(there, config=replace(there.config, **given))
    return there.config, there


def _jobs(args: argparse.Namespace) -> "list[Job]":
    """The jobs that the options ask for."""
    from deeplock.fpga.flow.designs import core, on_board
    from deeplock.fpga.flow.families import find_device
    from deeplock.fpga.flow.jobs import Job
    from deeplock.fpga.flow.sweep import read_sweep
    from deeplock.pymodel.errors import DeeplockError

    if args.output is not None and args.board is None:
        raise DeeplockError("-o goes with --board: only boards have bitstreams")
    if args.minutes and args.scheduler:
        raise DeeplockError("--minutes goes with processes on this machine: a cluster takes --seeds")
    if args.sweep is None:
        config, there = _accelerator(args)
        seeds = range(1, args.seeds + 1)
        return [Job(*on_board(there), seeds) if there else Job(core(config), find_device(args.device), seeds)]
    if given := min(config_given(args), default=None):
        option = given.replace("_", "-")
        raise DeeplockError(f"--{option} goes with --device and --board: a sweep says what it synthesises")
    for option in ("minutes", "loadable"):
        if getattr(args, option) is not None:
            raise DeeplockError(f"--{option} goes with --device and --board, not with --sweep")
    return read_sweep(args.sweep, args.seeds)


def _tell(row: dict[str, Any]) -> None:
    """Print what an accelerator or board takes, and its clock."""
    from deeplock.cli.output import print_table
    from deeplock.fpga.flow.families import find_device
    from deeplock.report.synth_tables import module_table, timing_lines, utilisation_table

    print_table(module_table(row))
    print()
    print_table(utilisation_table(row, find_device(row["device"]).capacity))
    print()
    print(*timing_lines(row), sep="\n")


def _tell_rates(
    loadable: "Loadable", config: "Config", there: "Board | None", clocks: Sequence[float]
) -> dict[str, Any]:
    """Print how many images a second to expect, and give it."""
    from statistics import median

    from deeplock.cli.output import print_table
    from deeplock.report.projection import projection, projection_table, projection_text

    found = projection(loadable, config, there.clock_hz / 1e6 if there else median(clocks), there)
    print(f"\n{projection_text(found)}")
    print_table(projection_table(found))
    return found


def run(args: argparse.Namespace) -> None:
    import os
    import shlex
    import sys

    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.fpga.flow.jobs import Job, cluster, processes, run_for, run_jobs
    from deeplock.fpga.flow.report import Row, fault_of, figures_of, row_of
    from deeplock.fpga.flow.resume import kept_rows
    from deeplock.fpga.flow.toolchain import versions
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, replace_file, rights_of, write_json
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.report.synth_tables import component_table, core_table

    jobs = _jobs(args)
    loadable = read_loadable(args.loadable) if args.loadable else None
    if loadable:
        loadable.check_fits(_accelerator(args)[0])
    tools = versions(set().union(*(job.programs for job in jobs)))
    command = shlex.join(["deeplock", *sys.argv[1:]])
    outputs = [make_folder_of(output) for output in _bitstreams(args)]
    modes = {output: rights_of(output) for output in outputs if output.exists()}
    for output in modes:
        output.resolve().unlink()  # so that an old bitstream is not mistaken for one that failed
    rows: dict[Job, Row] = {}
    best, projected = None, {}

    def figures() -> dict[str, Any]:
        return figures_of(command, [rows[job] for job in jobs if job in rows], tools) | projected

    at_a_time = args.jobs or len(os.sched_getaffinity(0))
    with cluster(args.scheduler) if args.scheduler else processes(at_a_time) as executor, progress_shown() as progress:
        if args.sweep:
            rows |= kept_rows(jobs, args.json, executor, progress)
            write_json(args.json, figures())
        if args.minutes:
            results = [run_for(60 * args.minutes, jobs[0], at_a_time, executor, progress)]
            jobs = [result.job for result in results]
        else:
            results = run_jobs(jobs, executor, progress, list(rows))
        for result in results:
            rows[result.job], best = row_of(result), result.best
            write_json(args.json, figures())
    if args.sweep is None:
        _tell(rows[jobs[0]])
        if loadable and not fault_of(rows[jobs[0]]):
            projected["projection"] = _tell_rates(loadable, *_accelerator(args), rows[jobs[0]]["fmax_mhz"])
            write_json(args.json, figures())
    else:
        for part, table in (("rows", core_table), ("components", component_table)):
            if there := figures()[part]:
                print_table(table(there))
                print()
    if failed := [f"{job.name}: {fault}" for job in jobs if (fault := fault_of(rows[job]))]:
        raise DeeplockError("; ".join(failed))
    for output in outputs:
        if best:
            replace_file(output, best.bitstream)
            output.chmod(modes.get(output, rights_of(output)))
            print(f"bitstream: {output}, of seed {best.seed}")
