"""Measure the accelerator: cycles of whole networks on the RTL and on boards; and software without it.

`bench rtl` runs test images of each network back to back on each array, with the lock and without it, and compares
every result byte with the golden model under the right key, which is random and kept nowhere. Figures are those of
the hardware counters. The simulation is Verilator's without Python in the loop; builds are kept.
Ends with exit code 1 if a byte differs.

`bench board` runs a network on a simulated board, through its pins: the host speaks over the UART, the locked loadable
comes from a model of the flash; once with the right key and once with a wrong one.

`bench software` is what a user without the accelerator has: int8 inference in C on RISC-V cores (simulated RTL; one of them
with the unlock as a custom instruction) and on this machine, and PyTorch; each plain, unlocked as a whole beforehand, and
unlocked piece by piece. Every output is compared with the golden model; exit code 1 if one differs.

examples:
  deeplock bench rtl --networks digits --arrays 4x4,8x8
  deeplock bench rtl --data DIR --json docs/results/cycles.json && python report/results.py docs/results/cycles.json
  deeplock bench software --networks digits
  deeplock bench board --runs icebreaker:mnist,ulx3s-85f:fashion-mnist --data DIR --json docs/results/board.json

JSON: {"command", "seed", "versions", "machine", "simulator", "rows": [{"network", "rows", "cols", "bytes_per_beat",
  "activation_words", "batch", "images", "mismatches": bytes, plain and locked, "cycles_plain", "cycles_locked", "lower_bound",
  "ratio": cycles_locked / lower_bound, "key_starved_cycles", "param_starved_cycles", "counters": {cycles by cause,
  locked}, "simulated_cycles_per_second": locked}]}; `bench board`: rows {"board", "network", "key": "right" or "wrong",
  "images", "mismatches", "clock_hz", "cycles", "param_starved_cycles", "input_starved_cycles", "key_starved_cycles",
  "images_per_second", "counters", "uart_bytes_per_image"}; `bench software`: rows {"network", "platform", "variant":
  "plain", "unlock-all" or "fused", "memory": "ideal", "slow" or "host", "images", "macs", "param_bytes",
  "outputs_equal_golden", "cycles" or "instructions" and "nanoseconds", "ratio": to plain, and on cores "cycles_per_mac",
  "unlock_cycles_per_byte", "layers"}; cycles, instructions and nanoseconds are per image
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from deeplock.cli.options import add_data_dir, add_json, positive

__all__ = ["add_arguments", "run"]

_IMAGES = 20
_IMAGES_OF = {"digits": 100}
_SOFTWARE_IMAGES_OF = {"digits": 10}


def _array(text: str) -> tuple[int, int]:
    rows, _, cols = text.partition("x")
    if not (rows.isdigit() and cols.isdigit()):
        raise argparse.ArgumentTypeError(f"an array must be ROWSxCOLS, not {text!r}")
    return int(rows), int(cols)


def _arrays(text: str) -> list[tuple[int, int]]:
    return [_array(part) for part in text.split(",")]


def _networks(text: str) -> list[Path]:
    """Names and files alike: which of them is a file is known when the names are."""
    return [Path(part) for part in text.split(",")]


def _runs(text: str) -> list[tuple[str, Path]]:
    runs = [part.partition(":") for part in text.split(",")]
    if not all(board and network for board, _, network in runs):
        raise argparse.ArgumentTypeError(f"must be BOARD:NETWORK, not {text!r}")
    return [(board, Path(network)) for board, _, network in runs]


_PLATFORMS = ("vexriscv", "vexriscv-cfu", "picorv32", "host", "pytorch")
_MEMORIES = ("ideal", "slow")


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
        help="trained networks that come with deeplock, or network files (digits,mnist,fashion-mnist,cifar10)",
    )
    rtl.add_argument(
        "--arrays", metavar="RxC,...", type=_arrays, default=_arrays("4x4,8x8,8x16,16x16"), help="(4x4,8x8,8x16,16x16)"
    )
    rtl.add_argument("--batch", metavar="N", type=positive, default=1, help="images that share dense weights (1)")
    rtl.add_argument("--images", metavar="N", type=positive, help=f"test images of each ({_IMAGES}; digits 100)")
    rtl.add_argument("--seed", type=int, default=0, help="of the bytes that a network leaves open (0)")
    rtl.add_argument("--jobs", metavar="N", type=positive, help="builds and runs at a time (one a core)")
    board = kinds.add_parser("board", help="a network on a simulated board")
    board.add_argument(
        "--runs",
        metavar="B:NAME,...",
        type=_runs,
        required=True,
        help="boards with a network each, as icebreaker:mnist",
    )
    board.add_argument("--images", metavar="N", type=positive, default=3, help="test images of each (3)")
    board.add_argument("--seed", type=int, default=0, help="of the bytes that a network leaves open (0)")
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
    software.add_argument("--images", metavar="N", type=positive, help="test images of each (1; digits 10)")
    software.add_argument("--seed", type=int, default=0, help="of the bytes that a network leaves open (0)")
    software.add_argument(
        "--flip", metavar="N", type=int, help="invert byte N of the parameters, to see that the comparison notices"
    )
    for kind in (rtl, board, software):
        add_data_dir(kind)
        add_json(kind)


def run(args: argparse.Namespace) -> None:
    import shlex
    import sys

    from deeplock.bench import board as bench_board
    from deeplock.bench import rtl as bench_rtl
    from deeplock.bench import software as bench_software
    from deeplock.bench.rtl import Workload, machine, versions
    from deeplock.cli.output import Progress, print_table, write_json
    from deeplock.fpga.boards import board
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.network.network_file import load_network
    from deeplock.pymodel.zoo import datasets, trained
    from deeplock.pymodel.zoo.preprocess import quantise_input
    from deeplock.sim.riscv.cores import CORES
    from deeplock.sim.toolchain import check_simulator

    simulator = "verilator" if args.kind == "board" else "native"
    if args.kind != "software" or set(args.platforms) & set(CORES):
        check_simulator(simulator)
    boards = [board(name) for name, _ in args.runs] if args.kind == "board" else []
    workloads = []
    for name in [name for _, name in args.runs] if boards else args.networks or map(Path, trained.NAMES):
        network = trained.load(str(name)) if str(name) in trained.NAMES else load_network(name)
        if not network.dataset:
            raise DeeplockError(f"{name}: belongs to no data set that deeplock knows")
        usual = (
            _SOFTWARE_IMAGES_OF.get(network.name, 1)
            if args.kind == "software"
            else _IMAGES_OF.get(network.name, _IMAGES)
        )
        count = args.images or usual
        images = datasets.load(network.dataset, args.data_dir).test_images
        if count > len(images):
            raise DeeplockError(f"data set {network.dataset} has {len(images)} test images, not {count}")
        workloads.append(Workload(network, quantise_input(network, images[:count])))
    with Progress() as progress:
        if args.kind == "software":
            rows = bench_software.measure(workloads, args.platforms, args.memories, args.seed, args.flip, progress)
            head, cells = bench_software.table(rows)
        elif not boards:
            rows = bench_rtl.measure(workloads, args.arrays, args.batch, args.seed, args.jobs, progress)
            head, cells = bench_rtl.table(rows)
        else:
            pairs = zip(boards, workloads, strict=True)
            rows = [row for there, each in pairs for row in bench_board.measure(there, each, args.seed, progress)]
            head, cells = bench_board.table(rows)
    print_table(cells, head)
    write_json(
        args.json,
        {
            "command": shlex.join(["deeplock", *sys.argv[1:]]),
            "seed": args.seed,
            "versions": versions(),
            "machine": machine(),
            "simulator": simulator,
            "rows": rows,
        },
    )
    if args.kind == "software":
        if wrong := [row for row in rows if not row["outputs_equal_golden"]]:
            first = " ".join(wrong[0][name] for name in ("network", "platform", "memory", "variant"))
            raise DeeplockError(f"{len(wrong)} of {len(rows)} outputs differ from the golden model, the first {first}")
    elif mismatches := sum(row["mismatches"] for row in rows):
        raise DeeplockError(f"{mismatches} ofmap bytes differ from the golden model")
