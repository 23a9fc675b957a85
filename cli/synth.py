"""Synthesise accelerators for FPGAs: resources by module, clock frequency, critical path.

Yosys and nextpnr, for one accelerator or, with --sweep, for a table of them and of components (fpga/sweep.py describes
the file). The core alone, between registers: fpga/harness.py. Netlists and placements are kept in build/; what was done
once with the same RTL and the same tools is not done again. Ends with exit code 1 if something does not fit.

examples:
  deeplock synth --device lfe5u-85f --rows 8 --cols 16 --bytes-per-beat 16 --sbox rom
  deeplock synth --device lfe5u-85f --rows 8 --cols 16 --bytes-per-beat 16 --suite plain --seeds 1
  deeplock synth --sweep fpga/area.toml --json docs/results/area.json
  deeplock synth --sweep fpga/area.toml --scheduler tcp://10.0.0.1:8786 --json docs/results/area.json

JSON: {"command", "rows": [{"device", "board": null, the fields of the configuration ("rows", "cols", "bytes_per_beat",
  "lanes", "suite", "sbox", ...; "sbox" and "key_bits" null in suite plain), "lut4", "ff", "carry", "bram", "dsp", "spram",
  "lutram", "fmax_mhz": [one per seed, from 1], "critical_path": [[module, ns]] of the slowest, "cells": {by nextpnr's
  names: [used, available], harness included}, "modules": {name: {resources}}, "harness": {resources}, "error": "" or why
  there is no clock}], "components": [the same, but "component" and its arguments for the configuration], "tools": {program:
  version}}
"""

import argparse
from dataclasses import fields
from pathlib import Path

from cli.options import add_json, config_of, positive
from pymodel.config import SBOX_STYLES, Config

__all__ = ["add_arguments", "run"]

_CHOICES = {"suite": ("plain", "deep-lock"), "sbox": SBOX_STYLES}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--device", metavar="D", help="FPGA: up5k, hx8k, lfe5u-25f or lfe5u-85f")
    what.add_argument("--sweep", type=Path, metavar="FILE", help="table of devices and designs, TOML")
    parser.add_argument("--seeds", type=positive, metavar="N", default=5, help="placements of each design (5)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive, metavar="N", help="programs at a time on this machine (one a core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="run on a Dask cluster: tcp://HOST:PORT of its scheduler")
    add_json(parser)
    group = parser.add_argument_group("accelerator", "with --device; default in brackets")
    for field in fields(Config):
        option, default = f"--{field.name.replace('_', '-')}", field.default
        if field.type is bool:
            group.add_argument(option, action="store_true", default=argparse.SUPPRESS)
        elif field.type is int:
            group.add_argument(option, type=int, metavar="N", default=argparse.SUPPRESS, help=f"({default})")
        else:
            choices = _CHOICES[field.name]
            group.add_argument(option, choices=choices, default=argparse.SUPPRESS, help=f"({default})")


def run(args: argparse.Namespace) -> None:
    import shlex
    import sys

    from cli.output import Progress, print_table, write_json
    from cli.synth_tables import component_table, core_table, module_table, timing_lines
    from fpga.designs import core
    from fpga.devices import find_device
    from fpga.jobs import Job, cluster, processes, run_jobs
    from fpga.report import row_of
    from fpga.sweep import read_sweep
    from fpga.toolchain import versions
    from pymodel.errors import DeeplockError

    given = {field.name: getattr(args, field.name) for field in fields(Config) if hasattr(args, field.name)}
    if args.sweep is None:
        designs = [(core(config_of(**given)), find_device(args.device))]
    elif given:
        raise DeeplockError(f"--{min(given).replace('_', '-')} goes with --device: a sweep says what it synthesises")
    else:
        designs = read_sweep(args.sweep)
    jobs = [Job(design, device, range(1, args.seeds + 1)) for design, device in designs]
    tools = versions({"yosys"} | {f"nextpnr-{device.family}" for _, device in designs})
    with cluster(args.scheduler) if args.scheduler else processes(args.jobs) as executor, Progress() as progress:
        every = [row_of(result) for result in run_jobs(jobs, executor, progress)]
    rows = [row for row in every if "component" not in row]
    components = [row for row in every if "component" in row]
    if args.sweep is None:
        print_table(*module_table(rows[0]))
        print(*timing_lines(rows[0]), sep="\n")
    else:
        for part, table in ((rows, core_table), (components, component_table)):
            if part:
                print_table(*table(part))
                print()
    command = shlex.join(["deeplock", *sys.argv[1:]])
    write_json(args.json, {"command": command, "rows": rows, "components": components, "tools": tools})
    if failed := [f"{job.name}: {row['error']}" for job, row in zip(jobs, every, strict=True) if row["error"]]:
        raise DeeplockError("; ".join(failed))
