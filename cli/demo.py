"""The whole way on real images: train, quantise, compile, lock, run on the RTL, and report.

Trains `digits`, quantises it to int8, compiles it for an 8x8 array with 8 parameter bytes a cycle and locks it with
a key made from the seed. Test images go through the RTL with the right key, with a wrong one, and on the
accelerator without unlock unit; every byte is compared with the golden model, the PyTorch reference and the
interpreter of loadables. Then 20 wrong keys meet the whole test set. All figures are measured in this run; only the
builds of the simulation are kept from earlier ones.

examples:
  deeplock demo
  deeplock demo --count 50 --seed 3 -o build/demo-3

JSON: {"network", "images", "accuracy": {"float", "int8", "unlocked", "wrong_key_mean", "wrong_keys": how many},
  "rtl": {"simulator", "rows", "cols", "bytes_per_beat", "images", "mismatches": bytes, "cycles_plain", "cycles_locked",
  "key_starved_cycles", "param_starved_cycles": the last two of the locked run, all four per image, "lower_bound"}};
  the same as DIR/report.json
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_output, positive

__all__ = ["add_arguments", "run"]

WRONG_KEYS = 20
WRONG_KEY_IMAGES = 3
"""Images that go through the RTL with a wrong key."""

FILES = (
    *("digits.float.safetensors", "digits.int8.safetensors", "digits.locked.loadable", "report.json", "report.html"),
    *("accuracy.png", "bytes.png", "cycles.png", "digits.png"),
)
"""What it writes into its folder."""


def _files(args: argparse.Namespace) -> list[Path]:
    return [args.output / name for name in FILES]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    folder = Path("build/demo")
    add_output(parser, "-o", "--output", metavar="DIR", default=folder, files=_files, help=f"({folder})")
    parser.add_argument("--count", type=positive, metavar="N", default=20, help="images for the RTL (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the keys (0)")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator", help="(verilator)")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from deeplock.cli.output import Progress, make_folder_of, print_table, write_json
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.spec.config import Config
    from deeplock.report.demo_report import report_rows, write_report
    from deeplock.sim.build import build
    from deeplock.sim.toolchain import check_simulator

    check_simulator(args.simulator)
    make_folder_of(args.output / "report.json")
    config = Config()
    with Progress() as progress, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # C++ compilers and PyTorch take turns on the cores; a build that exists is found and kept
        builds = [pool.submit(build, each, args.simulator) for each in (config, _plain(config))]
        from deeplock.bench.demo import measure

        measured = measure(config, args, builds, progress)
        progress("drawing")
        write_report(args.output, measured)
    print_table(report_rows(measured.report))
    print(f"report: {args.output / 'report.html'}")
    write_json(args.json, measured.report)
    if measured.report["rtl"]["mismatches"]:
        raise DeeplockError(f"{measured.report['rtl']['mismatches']} ofmap bytes differ from the golden model")


def _plain(config):
    from dataclasses import replace

    return replace(config, suite="plain")
