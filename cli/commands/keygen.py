"""Make a master key: random hex digits in a new file that only its owner can read.

The key itself is never printed, and a key file that exists is kept. Keep it away from the models that it locks.

examples:
  deeplock keygen -o my.key
  deeplock keygen --bits 256 -o longer.key
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser, "-o", "--output", metavar="FILE", default=Path("deeplock.key"), help="key file (deeplock.key)")
    parser.add_argument("--bits", type=int, choices=(128, 192, 256), default=128, help="size of the key (128)")


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.files import make_folder_of
    from deeplock.pymodel.lock.keyfile import generate_key, write_key

    write_key(make_folder_of(args.output), generate_key(args.bits // 8))
    print(f"{args.output}: a key of {args.bits} bits")
