"""Write bitstream and locked loadable into a board's flash.

Uses the programmer that the board's makers recommend (iceprog, openFPGALoader), which must be installed; with --dry-run
it only prints the commands. The bitstream comes from `deeplock synth --board`, the loadable from `deeplock compile
--board`. The key is not part of either.

examples:
  deeplock program --board icebreaker --bitstream build/icebreaker.bin --loadable build/mnist.loadable
  deeplock program --board ulx3s-85f --loadable build/fashion.loadable --dry-run
"""

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", metavar="B", required=True, help="name of the board (an unknown name lists all)")
    parser.add_argument("--bitstream", type=Path, metavar="FILE", help="write this bitstream")
    parser.add_argument("--loadable", type=Path, metavar="LOADABLE", help="write this loadable")
    parser.add_argument("--licence", type=Path, metavar="FILE", help="and this licence in front of it")
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")


def run(args: argparse.Namespace) -> None:
    import shlex
    import shutil
    import subprocess

    from deeplock.fpga.boards import board
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.scratch import scratch
    from deeplock.pymodel.spec.licence import read_licence
    from deeplock.pymodel.spec.loadable import read_loadable

    there = board(args.board)
    if args.bitstream is None and args.loadable is None:
        raise DeeplockError("nothing to write: give --bitstream, --loadable or both")
    if args.licence is not None and args.loadable is None:
        raise DeeplockError("a licence comes in front of its loadable: give --loadable too")
    if args.bitstream is not None and not args.bitstream.is_file():
        raise DeeplockError(f"{args.bitstream}: no such file")
    with scratch() as folder:
        commands = []
        if args.bitstream is not None:
            commands.append(there.program.format(file=shlex.quote(str(args.bitstream))))
        if args.loadable is not None:
            loadable = read_loadable(args.loadable)
            loadable.check_fits(there.for_suite(loadable.suite, args.licence is not None).config)
            if args.licence is not None:
                loadable = loadable.under(read_licence(args.licence), there.permissions)
            stream = folder / "loadable.bin"
            stream.write_bytes(loadable.stream)
            commands.append(
                there.program_loadable.format(file=shlex.quote(str(stream)), address=there.loadable_address)
            )
        for command in commands:
            words = shlex.split(command)
            print(command)
            if args.dry_run:
                continue
            if shutil.which(words[0]) is None:
                raise DeeplockError(
                    f"board {there.name} is programmed with {words[0]}, which is not on PATH: install it"
                )
            if code := subprocess.run(words, check=False).returncode:
                raise DeeplockError(f"{words[0]} ended with exit code {code}")
