"""Lock a checkpoint or a loadable with a master key.

A checkpoint (safetensors, float32 or int8 tensors) keeps its names, shapes, types and size, so any framework still
loads it; it just classifies no better than by chance. A loadable keeps header and program in clear and locks its
parameters. A quantised network file is not locked itself: compile it. The suites that seal: `deeplock seal`.

examples:
  deeplock lock build/digits.float.safetensors --key-file my.key -o build/locked.safetensors
  deeplock lock build/plain.loadable --key-file my.key -o build/locked.loadable

JSON: {"kind": "checkpoint" | "loadable", "suite", "bytes", "file"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_key_file, add_output, add_suite

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="FILE", help="checkpoint or loadable")
    add_key_file(parser, "the master key", required=True)
    add_suite(parser)
    add_output(parser, "-o", "--output", metavar="OUT", required=True, help="the locked file")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.cli.output import warn_of_known_bytes
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.lock.checkpoint import Checkpoint, lock_checkpoint
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.suites import byte_suite, suite
    from deeplock.pymodel.network.artefact import load, save
    from deeplock.pymodel.spec.licence import Licence
    from deeplock.pymodel.spec.loadable import Loadable

    key = read_key(args.key_file)
    artefact = load(args.input)
    if isinstance(artefact, Checkpoint):
        locked = lock_checkpoint(artefact, key, byte_suite(args.suite))
    elif isinstance(artefact, Licence):
        raise DeeplockError(f"{args.input}: a licence holds no network")
    elif not isinstance(artefact, Loadable):
        raise DeeplockError(f"{args.input}: is a quantised network: lock its loadable (deeplock compile --key-file)")
    elif suite(artefact.suite).locks:
        raise DeeplockError(f"{args.input}: is locked already, by suite {artefact.suite}")
    elif suite(args.suite).seals:
        raise DeeplockError(f"suite {args.suite} seals: use `deeplock seal`")
    else:
        locked = artefact.locked(args.suite, key)
    kind, size = save(args.output, locked)
    if isinstance(locked, Loadable):
        warn_of_known_bytes(locked)
    print(f"{args.output}: {kind} locked by suite {args.suite}, {size} bytes")
    write_json(args.json, {"kind": kind, "suite": args.suite, "bytes": size, "file": str(args.output)})
