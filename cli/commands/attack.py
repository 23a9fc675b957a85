"""Attack locked networks: what the lock is worth, and against whom.

In the laboratory, an attack runs on trained networks that come with deeplock, protected with a random key by Deep-Lock or
by another scheme. --all runs every attack on every scheme that it concerns. Results that the --json file holds already for
the same arguments are kept, so an interrupted run goes on. digits gets small budgets, which take seconds; --quick gives
them to the others.

With FILE, two attacks work on a locked checkpoint of yours. -o writes the key that they find, which is shown nowhere else.
known-plaintext needs 16, 24 or 32 consecutive plain bytes of the file (--known, --at). ciphertext-only needs an int8 tensor
locked with AES-128, and examples of such weights (--like; by default the networks that come with deeplock).

attacks: known-plaintext, ciphertext-only, flat-table, wrong-key, pruning, weak-sbox, genetic, fine-tuning

NAME `device` runs the attacks of someone who holds a device with the key inside, knows no key, and writes the memory outside:
on the golden device, or on the RTL in simulation. --attack chooses some of them.

on devices: chosen-program, desync, malleability, replay, remanence, failed-check, provisioning, endless,
tampering

examples:
  deeplock attack genetic --network digits --scheme hpnn
  deeplock attack --all --network mnist,fashion-mnist,cifar10 --data DIR --json docs/results/security.json
  deeplock attack known-plaintext build/locked.safetensors --known plain.bytes --at 4096 -o found.key
  deeplock attack device --network digits,mnist --target golden,rtl --json docs/results/security.json
  deeplock attack ciphertext-only build/locked.safetensors --tensor dense1.weight --bytes 1024 -o found.key

JSON: {"command", "machine", "rows": [{"scheme", "attack", "network", "budget": {...}, "metric", "value", "yardstick" (the
  same without the lock, or from scratch; or null), "seeds"}], "curves": [{..., "points": [[x, value], ...]}], "seconds":
  [...]}; rows of device have "scheme" (the suite), "target" and "inferences" as well, and "rtl" if they are of
  an older RTL, and their
  yardstick is what there was to get; with FILE: {"file", "attack", "key_bits", "bytes", "redundancy" (bits a byte, of the
  parameters once unlocked), "unlocks", "seconds"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_data_dir, add_json, add_output, number_below, positive, refuse_given, seeds

__all__ = ["add_arguments", "run"]

_DEVICE = "device"
_ATTACKS = (
    "known-plaintext", "ciphertext-only", "flat-table", "wrong-key", "pruning", "weak-sbox", "genetic", "fine-tuning",
)  # fmt: skip

_ON_FILE = ("known", "at", "tensor", "bytes", "like", "output")
_LABORATORY = ("all", "scheme", "quick", "budget", "count", "jobs", "scheduler")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _fields(text: str) -> dict[str, str]:
    return {part.partition("=")[0]: part.partition("=")[2] for part in text.split(",")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_names, metavar="NAME[,NAME...]", nargs="?", help="the attacks")
    parser.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", help="a locked checkpoint to attack, instead of trained networks"
    )
    add_data_dir(parser)
    add_json(parser)
    group = parser.add_argument_group("laboratory")
    group.add_argument("--all", action="store_true", help="every attack")
    group.add_argument("--network", type=_names, metavar="N[,N...]", default=("digits",), help="networks (digits)")
    group.add_argument(
        "--scheme", type=_names, metavar="S[,S...]", default=(), help="only these schemes (all it concerns)"
    )
    group.add_argument("--seeds", type=seeds, metavar="S[,S...]", default=(0,), help="seeds of keys and attack (0)")
    group.add_argument("--quick", action="store_true", help="small budgets")
    group.add_argument(
        "--budget", type=_fields, metavar="NAME=N[,...]", help="change fields of the budget, named as in the JSON"
    )
    group.add_argument("--count", type=positive, metavar="N", default=2000, help="test images (2000)")
    group.add_argument("--fresh", action="store_true", help="run again what the --json file holds")
    group.add_argument("--jobs", type=positive, metavar="N", help="processes (one a core)")
    group.add_argument("--scheduler", metavar="ADDRESS", help="run on the Dask cluster of this scheduler instead")
    group = parser.add_argument_group("on devices")
    group.add_argument("--attack", type=_names, metavar="A[,A...]", help="only these attacks (all)")
    group.add_argument("--suite", metavar="S", help="lock suite of the device (deep-lock)")
    group.add_argument(
        "--target", type=_names, metavar="T[,T...]", help="golden: the model; rtl: the simulated accelerator (golden)"
    )
    group = parser.add_argument_group("on a file")
    group.add_argument("--known", type=Path, metavar="BYTES", help="file of 16, 24 or 32 plain bytes")
    group.add_argument(
        "--at",
        type=number_below(63),
        metavar="N",
        default=0,
        help="where they begin in the tensor, or in all parameters (0)",
    )
    group.add_argument("--tensor", metavar="NAME", help="the tensor under attack")
    group.add_argument("--bytes", type=positive, metavar="N", default=1024, help="its bytes for ciphertext-only (1024)")
    group.add_argument("--like", type=Path, metavar="CHECKPOINT", help="an unlocked checkpoint of a similar network")
    add_output(group, "-o", "--output", metavar="KEY", help="write the key that is found (a new file, mode 0600)")


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.errors import DeeplockError

    if args.all == (args.name is not None):
        raise DeeplockError("give the name of an attack, or --all")
    if args.name == (_DEVICE,):
        _on_devices(args)
        return
    refuse_given(args, f"without the name {_DEVICE}", "attack", "suite", "target")
    attacks = _ATTACKS if args.all else args.name
    if unknown := [name for name in attacks if name not in _ATTACKS]:
        raise DeeplockError(f"attack must be one of {', '.join((*_ATTACKS, _DEVICE))}, not {unknown[0]}")
    if args.file is None:
        _in_laboratory(args, attacks)
    elif len(attacks) == 1:
        _on_file(args, attacks[0])
    else:
        raise DeeplockError("one attack at a time on a FILE")


def _in_laboratory(args: argparse.Namespace, attacks: tuple[str, ...]) -> None:
    from deeplock.bench.attacks import Laboratory, Workers, run_laboratory
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.report.attack_report import attack_table

    refuse_given(args, "without FILE, a locked checkpoint", *_ON_FILE)
    if args.json is None:
        refuse_given(args, "without --json", "fresh")
    if args.scheduler is not None:
        refuse_given(args, "with --scheduler", "jobs")
    asked = Laboratory(attacks, args.network, args.scheme, args.seeds, args.quick, args.budget or {}, args.count)
    workers = Workers(args.jobs, args.scheduler)
    with progress_shown() as progress:
        rows = run_laboratory(asked, args.json, args.data_dir, args.fresh, workers, progress)
    print_table(attack_table(rows))
    if args.json:
        print(f"figures: {args.json}")


def _on_devices(args: argparse.Namespace) -> None:
    from deeplock.bench.device_attacks import DeviceLaboratory, run_on_devices
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.report.attack_report import device_table

    refuse_given(args, f"with {_DEVICE}", "file", "data_dir", *_ON_FILE, *_LABORATORY)
    if args.json is None:
        refuse_given(args, "without --json", "fresh")
    given = {"attacks": args.attack, "suite": args.suite, "targets": args.target}
    asked = DeviceLaboratory(
        networks=args.network, seeds=args.seeds, **{name: value for name, value in given.items() if value}
    )
    with progress_shown() as progress:
        rows = run_on_devices(asked, args.json, args.fresh, progress)
    print_table(device_table(rows))
    if args.json:
        print(f"figures: {args.json}")


def _on_file(args: argparse.Namespace, attack: str) -> None:
    import os
    import time

    from deeplock.cli.output import print_pairs
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.attacks import on_file
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, write_json
    from deeplock.pymodel.lock.checkpoint import Checkpoint, unlock_checkpoint
    from deeplock.pymodel.lock.keyfile import write_key
    from deeplock.pymodel.network.artefact import load

    refuse_given(args, "with FILE", "data_dir", "network", "seeds", "fresh", *_LABORATORY)
    others = {"known-plaintext": ("bytes", "like"), "ciphertext-only": ("known", "at")}
    refuse_given(args, f"with {attack}", *others.get(attack, ()))
    checkpoint = load(args.file)
    if not isinstance(checkpoint, Checkpoint):
        raise DeeplockError(f"{args.file}: must be a locked checkpoint (`deeplock lock` makes one)")
    if checkpoint.locked_by is None:
        raise DeeplockError(f"{args.file}: is not locked")
    if args.output and os.path.lexists(args.output):
        raise DeeplockError(f"{args.output}: exists already: give a new file for the key")
    start = time.monotonic()
    if attack == "known-plaintext":
        if args.known is None:
            raise DeeplockError("known-plaintext on a file needs --known: a file of 16, 24 or 32 plain bytes")
        found = on_file.known_plaintext(checkpoint, args.known, args.at, args.tensor)
    elif attack == "ciphertext-only":
        with progress_shown() as progress:
            found = on_file.ciphertext_only(checkpoint, args.bytes, args.tensor, args.like, progress)
    else:
        raise DeeplockError(f"{attack} takes no FILE: only known-plaintext and ciphertext-only do")
    seconds = time.monotonic() - start
    redundancy = on_file.redundancy(unlock_checkpoint(checkpoint, found.key))
    unlocks = redundancy > on_file.REDUNDANT
    locked = f"(locked: {on_file.redundancy(checkpoint):.2f})"
    print_pairs(
        ("key size", f"{8 * len(found.key)} bits"),
        ("bytes used", found.bytes),
        ("key unlocks the file", "yes" if unlocks else "no"),
        ("redundancy of what it unlocks", f"{redundancy:.2f} bits a byte {locked}"),
        ("seconds", f"{seconds:.1f}"),
    )
    write_json(
        args.json,
        {
            "file": str(args.file),
            "attack": attack,
            "key_bits": 8 * len(found.key),
            "bytes": found.bytes,
            "redundancy": redundancy,
            "unlocks": unlocks,
            "seconds": seconds,
        },
    )
    if not unlocks:
        raise DeeplockError(f"{args.file}: the key that was found does not unlock it")
    if args.output:
        write_key(make_folder_of(args.output), found.key)
        print(f"{args.output}: the key")
