"""Run the whole flow on real images: train, quantise, compile, lock, run on the RTL, and report.

Trains `digits`, quantises it to int8, compiles it for an 8x8 array with 8 parameter bytes a cycle and locks it with
a key made from the seed. Test images go through the RTL with the right key, with a wrong one, and on the
accelerator without unlock unit; every byte is compared with the golden model, the PyTorch reference and the
interpreter of loadables. Then 20 wrong keys are tried on the whole test set. All figures are measured in this run; only
builds of the simulation are reused. The locked loadable and its key stay in DIR, for the other commands.

examples:
  deeplock demo
  deeplock demo --count 50 --seed 3 -o build/demo-3
  deeplock simulate build/demo/digits.locked.loadable --key-file build/demo/digits.key --count 3

JSON: {"network", "images", "accuracy": {"float", "int8", "unlocked", "wrong_key_mean", "wrong_keys": how many},
  "rtl": {"simulator", "rows", "cols", "bytes_per_beat", "images", "mismatches": bytes, "cycles_plain", "cycles_locked",
  "key_starved_cycles", "param_starved_cycles": the last two of the locked run, all four per image, "lower_bound"}};
  the same as DIR/report.json
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_output, add_seed, positive

__all__ = ["add_arguments", "run"]


def _files(args: argparse.Namespace) -> list[Path]:
    from deeplock.bench.demo import FILES as MEASURED
    from deeplock.report.demo_report import FILES as REPORTED

    return [args.output / name for name in (*MEASURED, *REPORTED)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    folder = Path("build/demo")
    add_output(parser, "-o", "--output", metavar="DIR", default=folder, files=_files, help=f"results ({folder})")
    parser.add_argument("--count", type=positive, metavar="N", default=20, help="images for the RTL (20)")
    add_seed(parser, "seed of the training and of the keys")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator", help="(verilator)")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.bench.demo import FILES, KEY, measure
    from deeplock.cli.output import print_pairs
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, write_json
    from deeplock.report.demo_report import report_rows, write_report
    from deeplock.sim.toolchain import check_simulator

    check_simulator(args.simulator)
    make_folder_of(args.output / "report.json")
    with progress_shown() as progress:
        measured = measure(args.output, args.count, args.seed, args.simulator, progress)
        progress("drawing")
        write_report(args.output, measured)
    print_pairs(*report_rows(measured.report))
    print(f"loadable and its key: {args.output / FILES[-1]}, {args.output / KEY}")
    print(f"report: {args.output / 'report.html'}")
    write_json(args.json, measured.report)
    if measured.report["rtl"]["mismatches"]:
        raise DeeplockError(f"{measured.report['rtl']['mismatches']} ofmap bytes differ from the golden model")
