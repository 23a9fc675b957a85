"""Make a key: random hex digits in a new file that only its owner can read.

The key itself is never printed, and a key file that exists is kept. Keep it away from the models that it locks. With licences
(docs/licensing.md) there are two: a model key seals a network for all customers, a device key belongs to one device. The file
then says which one it is, so that neither is taken for the other.

examples:
  deeplock keygen -o my.key
  deeplock keygen --bits 256 -o longer.key
  deeplock keygen --model -o my-model.key
  deeplock keygen --device -o device-1.key
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_output, refuse_given

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser, "-o", "--output", metavar="FILE", default=Path("deeplock.key"), help="key file (deeplock.key)")
    role = parser.add_mutually_exclusive_group()
    role.add_argument("--model", dest="role", action="store_const", const="model", default="", help="a model's key")
    role.add_argument("--device", dest="role", action="store_const", const="device", help="a device's key")
    parser.add_argument("--bits", type=int, choices=(128, 192, 256), default=128, help="size of the key (128)")


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.files import make_folder_of
    from deeplock.pymodel.lock.keyfile import generate_key, write_key

    if args.role:
        refuse_given(args, f"with --{args.role}: the suites that seal take keys of 128 bits", "bits")
    write_key(make_folder_of(args.output), generate_key(args.bits // 8), args.role)
    print(f"{args.output}: a {args.role} key of {args.bits} bits".replace("  ", " "))
