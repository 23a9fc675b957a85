"""Unlock a checkpoint or a loadable with a master key.

The key that locked the file restores every parameter byte. Another key gives a valid file too, but full of garbage: nothing
in a locked file shows whether a key is right, unless it is sealed, or compiled with --key-check. Then a wrong key is refused.
OUT has no wider rights than FILE.

examples:
  deeplock unlock build/locked.safetensors --key-file my.key -o build/unlocked.safetensors
  deeplock unlock build/locked.loadable --key-file my.key -o build/plain.loadable

JSON: {"kind": "checkpoint" | "loadable", "bytes", "file"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_key_file, add_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="FILE", help="locked checkpoint or loadable")
    add_key_file(parser, "the master key", required=True)
    add_output(parser, "-o", "--output", metavar="OUT", required=True, help="the unlocked file")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import rights_of, write_json
    from deeplock.pymodel.lock.checkpoint import Checkpoint, unlock_checkpoint
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network.artefact import load, save
    from deeplock.pymodel.spec.loadable import Loadable

    artefact = load(args.input)
    seals = isinstance(artefact, Loadable) and suite(artefact.suite).seals
    key = read_key(args.key_file, "model" if seals else "")
    if isinstance(artefact, Checkpoint):
        unlocked = unlock_checkpoint(artefact, key)
    elif not isinstance(artefact, Loadable) or not suite(artefact.suite).locks:
        raise DeeplockError(f"{args.input}: is not locked")
    else:
        key = suite_key(key, artefact.suite, "model")
        artefact.check_key(key)
        unlocked = artefact.unlocked(key)
    kind, size = save(args.output, unlocked, at_most=rights_of(args.input))
    print(f"{args.output}: {kind} unlocked, {size} bytes")
    write_json(args.json, {"kind": kind, "bytes": size, "file": str(args.output)})
