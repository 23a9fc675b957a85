"""Write bitstream and locked loadable into a board's flash.

Uses the programmer that the board's makers recommend (iceprog, openFPGALoader), which must be installed; with --dry-run
it only prints the commands. The bitstream comes from `deeplock synth --board`, the loadable from `deeplock compile
--board`. No key is part of either. With --device-key the device's key goes into the bitstream that is written, so that no
host needs it; the bitstream's file stays as it is. What must then be trusted is printed.

examples:
  deeplock program --board icebreaker --bitstream build/icebreaker.bin --loadable build/mnist.loadable
  deeplock program --board icebreaker --bitstream build/icebreaker.bin --device-key device-1.key
  deeplock program --board ulx3s-85f --loadable build/fashion.loadable --dry-run
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import names

if TYPE_CHECKING:
    from deeplock.fpga.boards.board import Board

__all__ = ["add_arguments", "run"]

_TRUST = (
    "The bitstream on the board is trusted: whoever writes another one there sees what the accelerator works on, and takes a "
    "key that the host sends."
)
_TRUST_WITH_KEY = (
    "The device key is in the bitstream, in clear: whoever reads the board's flash has it, and with it the model keys of all "
    "licences for this device."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", metavar="B", required=True, help="name of the board (an unknown name lists all)")
    parser.add_argument("--bitstream", type=Path, metavar="FILE", help="write this bitstream")
    parser.add_argument("--loadable", type=Path, metavar="LOADABLE", help="write this loadable")
    parser.add_argument("--licence", type=Path, metavar="FILE", help="and this licence in front of it")
    parser.add_argument(
        "--device-key", type=Path, metavar="FILE", help="key file whose key the bitstream brings to the device"
    )
    parser.add_argument("--suite", choices=names(), help="of the bitstream, for --device-key (the board's)")
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")


def run(args: argparse.Namespace) -> None:
    import shlex
    import shutil
    import subprocess

    from deeplock.fpga.boards import board
    from deeplock.pymodel.scratch import scratch
    from deeplock.pymodel.spec.licence import read_licence
    from deeplock.pymodel.spec.loadable import read_loadable

    there = board(args.board)
    if args.bitstream is None and args.loadable is None:
        raise DeeplockError("nothing to write: give --bitstream, --loadable or both")
    if args.licence is not None and args.loadable is None:
        raise DeeplockError("a licence comes in front of its loadable: give --loadable too")
    if args.device_key is not None and args.bitstream is None:
        raise DeeplockError("a device key goes into a bitstream: give --bitstream too")
    if args.suite is not None and args.device_key is None:
        raise DeeplockError("--suite says which suite --device-key is for: give that too")
    if args.bitstream is not None and not args.bitstream.is_file():
        raise DeeplockError(f"{args.bitstream}: no such file")
    with scratch() as folder:
        commands = []
        if args.bitstream is not None:
            bitstream = args.bitstream
            if args.device_key is not None:
                bitstream = Path(folder) / f"with-key{args.bitstream.suffix}"
                bitstream.write_bytes(_with_key(args, there))
            commands.append(there.program.format(file=shlex.quote(str(bitstream))))
        if args.loadable is not None:
            loadable = read_loadable(args.loadable)
            config = there.for_suite(loadable.suite, args.licence is not None).config
            loadable.check_fits(config)
            if args.licence is not None:
                loadable = loadable.under(read_licence(args.licence), config.permissions)
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
    if args.bitstream is not None:
        print(_TRUST if args.device_key is None else f"{_TRUST} {_TRUST_WITH_KEY}")


def _with_key(args: argparse.Namespace, there: "Board") -> bytes:
    from deeplock.cli.options import read_key_file
    from deeplock.fpga.flow.families import find_device
    from deeplock.fpga.flow.provision import with_device_key

    config = there.for_suite(args.suite).config
    if not config.licences:
        raise DeeplockError(f"--device-key is for a suite that seals, not for {config.suite}")
    key = read_key_file(args.device_key, config.suite, "device")
    try:
        return with_device_key(args.bitstream.read_bytes(), find_device(there.device).family, key)
    except DeeplockError as error:
        raise DeeplockError(f"{args.bitstream}: {error}") from None
