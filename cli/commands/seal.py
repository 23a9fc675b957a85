"""Seal a plain loadable with a key.

A sealed loadable runs only on a device that holds the key, and only as it was sealed: the device refuses whatever has been
changed, mixed or cut (docs/security.md). Header and program stay in clear. The nonce comes from the operating system, so a
loadable that is sealed twice gives two different files.

`deeplock compile` seals too, if its suite does. Licences (`deeplock licence`) name the model: --model and --model-version put
its number and version into the header.

examples:
  deeplock seal build/plain.loadable --key-file model.key -o build/sealed.loadable
  deeplock seal build/plain.loadable --suite ascon --key-file model.key --model 7 --model-version 2 -o build/sealed.loadable

JSON: {"suite", "model", "model_version", "bytes", "file"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import SEALING_SUITE, add_json, add_key_file, add_output, add_suite, number_below

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="plain loadable")
    add_key_file(parser, "the key, 16 bytes", required=True)
    add_suite(parser, SEALING_SUITE)
    parser.add_argument(
        "--model", type=number_below(64), metavar="N", default=0, help="number of the model, 64 bits (0)"
    )
    parser.add_argument(
        "--model-version", type=number_below(32), metavar="N", default=0, help="its version, 32 bits (0)"
    )
    add_output(parser, "-o", "--output", metavar="OUT", required=True, help="the sealed loadable")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network.artefact import save
    from deeplock.pymodel.spec.loadable import read_loadable

    if not suite(args.suite).seals:
        raise DeeplockError(f"suite {args.suite} does not seal: use `deeplock lock`")
    key = suite_key(read_key(args.key_file, "model"), args.suite, "model")
    plain = read_loadable(args.loadable)
    if suite(plain.suite).locks:
        raise DeeplockError(f"{args.loadable}: is locked already, by suite {plain.suite}")
    header = plain.header.of_model(args.model, args.model_version)
    sealed = replace(plain, header=header).locked(args.suite, key)
    _, size = save(args.output, sealed)
    print(
        f"{args.output}: sealed by suite {args.suite}, model {args.model}, version {args.model_version}, {size} bytes"
    )
    write_json(
        args.json,
        {
            "suite": args.suite,
            "model": args.model,
            "model_version": args.model_version,
            "bytes": size,
            "file": str(args.output),
        },
    )
