"""Write the accelerator as Verilog, with what it takes to use it in a design of one's own.

DIR then holds deeplock.v, Verilog-2005 with AMBA's port names, which its first lines explain; deeplock.vlt, which waives what
Verilator's lint says of it; deeplock.core for FuseSoC; the registers as C header and SystemRDL; the format of loadables as C
header; a driver in C; and in tb/ a self-checking testbench: a digit goes through the accelerator, and every byte of the result
is compared. None of that needs Python. The testbench's key is drawn for it and thrown away. A folder that is not empty is left
as it is.

With --memory axi a memory master is in front of the accelerator, which reads loadables and ifmaps and writes ofmaps by AXI4;
then deeplock_memory_regs.h has its registers, and the testbench's data lie in a memory.

A size of the array that is not given follows from the others, as with `deeplock compile`. See docs/into-your-design.md.

examples:
  deeplock verilog -o build/deeplock
  deeplock verilog --rows 4 --suite ascon -o build/deeplock
  deeplock verilog --rows 16 --memory axi --outstanding 8 -o build/deeplock
  deeplock verilog --rows 16 --suite acorn --licences --permissions --module customer_npu -o build/deeplock
"""

import argparse
import re
from pathlib import Path
from typing import Any

from deeplock.cli.options import SEALING_SUITE, add_config, add_output, positive

__all__ = ["add_arguments", "run"]


def _module(text: str) -> str:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text):
        raise argparse.ArgumentTypeError(f"must be a Verilog identifier, not {text}")
    return text


def _files(args: argparse.Namespace) -> list[Path]:
    from deeplock.sim.export.folder import files_of

    return files_of(args.output, args.testbench, bool(args.memory))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser, "-o", "--output", metavar="DIR", required=True, files=_files, help="new folder")
    parser.add_argument(
        "--module",
        type=_module,
        metavar="NAME",
        default="deeplock",
        help="name of the module, with which those of the modules below begin (deeplock)",
    )
    parser.add_argument(
        "--testbench", action=argparse.BooleanOptionalAction, default=True, help="write a testbench (yes)"
    )
    memory = parser.add_argument_group("memory master", "docs/into-your-design.md")
    memory.add_argument("--memory", choices=["axi"], help="put one in front of the accelerator (none)")
    memory.add_argument("--burst", metavar="N", type=positive, help="beats of the longest burst (16)")
    memory.add_argument("--outstanding", metavar="N", type=positive, help="bursts of reads on their way at a time (4)")
    follows = {"rows": "8", "cols": "as rows", "bytes_per_beat": "as cols, up to 16", "suite": SEALING_SUITE}
    add_config(parser.add_argument_group("accelerator", "defaults in brackets"), follows)


def run(args: argparse.Namespace) -> None:
    import shlex
    import sys

    from deeplock.cli.options import config_given
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.spec.accelerator import array_of
    from deeplock.pymodel.spec.config import Config
    from deeplock.pymodel.spec.memory import MemoryOptions
    from deeplock.sim.export.folder import write_folder

    given = config_given(args)
    chosen: dict[str, Any] = {"suite": SEALING_SUITE} | given
    chosen |= array_of(*(given.get(name) for name in ("rows", "cols", "bytes_per_beat")))
    config = Config(**chosen)
    given = {name: getattr(args, name) for name in ("burst", "outstanding") if getattr(args, name) is not None}
    if given and not args.memory:
        raise DeeplockError(f"--{min(given)} is an option of the memory master: give --memory axi")
    options = MemoryOptions(**given) if args.memory else None
    command = shlex.join(["deeplock", *sys.argv[1:]])
    with progress_shown() as progress:
        write_folder(args.output, config, args.module, command, args.testbench, progress, options)
    print(f"{args.output}: {config.rows}x{config.cols} (B = {config.bytes_per_beat}), suite {config.suite}:")
    for path in _files(args):
        print(f"  {path.relative_to(args.output)}")
