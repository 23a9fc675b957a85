"""Synthesise accelerators for FPGAs: resources by module, clock frequency, critical path; bitstreams of boards.

Runs Yosys and nextpnr for one accelerator, for a board or, with --sweep, for a table of accelerators, boards and components
(fpga/flow/sweep.py describes the file). An accelerator is placed alone, between registers (fpga/flow/harness.py); a board's
design is placed whole, on the board's pins; a board has a suite that seals and takes licences, unless --suite or
--no-licences say otherwise. If a seed reaches the board's clock, the fastest seed's bitstream is written for
`deeplock program`. Netlists and placements are kept and reused for the same RTL and the same tools. A sweep writes each row
to the --json file when it is measured. Started again, it keeps the rows of that file that were measured from the same RTL,
with the same seeds and tools. The exit code is 1 if something does not fit, or a board does not reach its clock.

examples:
  deeplock synth --board icebreaker
  deeplock synth --board icebreaker --suite deep-lock
  deeplock synth --board ulx3s-85f --suite plain --seeds 3 -o build/plain.bit
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
  version}}
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.cli.options import add_config, add_json, add_output, config_given, positive, refuse_given
from deeplock.pymodel.lock.suites import suite

if TYPE_CHECKING:
    from deeplock.fpga.flow.jobs import Job

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
    parser.add_argument("--seeds", type=positive, metavar="N", default=5, help="placements of each design (5)")
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


def _jobs(args: argparse.Namespace) -> "list[Job]":
    """The jobs that the options ask for."""
    from dataclasses import replace

    from deeplock.fpga.boards import board
    from deeplock.fpga.flow.designs import core, on_board
    from deeplock.fpga.flow.families import find_device
    from deeplock.fpga.flow.jobs import Job
    from deeplock.fpga.flow.sweep import read_sweep
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.spec.config import Config

    seeds = range(1, args.seeds + 1)
    given = config_given(args)
    if args.output is not None and args.board is None:
        raise DeeplockError("-o goes with --board: only boards have bitstreams")
    if args.board is not None:
        there = board(args.board).for_suite(given.pop("suite", None), given.pop("licences", None))
        _refuse_useless(args, there.config.suite)
        return [Job(*on_board(replace(there, config=replace(there.config, **given))), seeds)]
    if args.device is not None:
        _refuse_useless(args, given.get("suite", Config.suite))
        return [Job(core(Config(**given)), find_device(args.device), seeds)]
    if given:
        option = min(given).replace("_", "-")
        raise DeeplockError(f"--{option} goes with --device and --board: a sweep says what it synthesises")
    return read_sweep(args.sweep, args.seeds)


def run(args: argparse.Namespace) -> None:
    import shlex
    import sys

    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.fpga.flow.jobs import Job, cluster, processes, run_jobs
    from deeplock.fpga.flow.report import Row, fault_of, figures_of, row_of
    from deeplock.fpga.flow.resume import kept_rows
    from deeplock.fpga.flow.toolchain import versions
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, replace_file, rights_of, write_json
    from deeplock.report.synth_tables import component_table, core_table, module_table, timing_lines

    jobs = _jobs(args)
    tools = versions(set().union(*(job.programs for job in jobs)))
    command = shlex.join(["deeplock", *sys.argv[1:]])
    outputs = [make_folder_of(output) for output in _bitstreams(args)]
    modes = {output: rights_of(output) for output in outputs if output.exists()}
    for output in modes:
        output.resolve().unlink()  # so that an old bitstream is not mistaken for one that failed
    rows: dict[Job, Row] = {}
    best = None

    def figures() -> dict[str, Any]:
        return figures_of(command, [rows[job] for job in jobs if job in rows], tools)

    with cluster(args.scheduler) if args.scheduler else processes(args.jobs) as executor, progress_shown() as progress:
        if args.sweep:
            rows |= kept_rows(jobs, args.json, executor, progress)
            write_json(args.json, figures())
        for result in run_jobs(jobs, executor, progress, list(rows)):
            rows[result.job], best = row_of(result), result.best
            write_json(args.json, figures())
    if args.sweep is None:
        print_table(module_table(rows[jobs[0]]))
        print(*timing_lines(rows[jobs[0]]), sep="\n")
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
