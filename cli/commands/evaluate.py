"""Measure the accuracy of a checkpoint, a quantised network or a loadable.

Runs all test images of the data set through the float network (checkpoint) or the golden model (network file, loadable).
A locked file needs --key-file, --wrong-keys N for the accuracy under N random keys, or both.

--paper, instead of FILE, measures the trained networks that come with deeplock as the paper does: in int8; locked with a
random key and unlocked with it, which must give the same ofmaps; and locked, under 100 wrong keys. All figures are exactly
those of the golden model; wrong keys are tried on the first 2,000 test images only. The keys come from --seed and are the
same each time. Figures that the result file holds already, for the same network and options, are kept.

examples:
  deeplock evaluate build/digits.int8.safetensors
  deeplock evaluate build/digits.loadable --key-file my.key --wrong-keys 20
  deeplock evaluate build/locked.safetensors --key-file my.key --wrong-keys 100 --seed 7 --json build/accuracy.json
  deeplock evaluate --paper --data DIR && python -m deeplock.report.results docs/results/accuracy.json

JSON: {"file", "kind": "checkpoint" | "network" | "loadable", "suite", "images", "accuracy" (null without --key-file where
  locked), "wrong_keys": [accuracies], "wrong_key_mean" (null without --wrong-keys)}
JSON with --paper: {"command", "networks": {NAME: {"parameters", "float" (recorded in training), "int8", "unlocked",
  "wrong_key_mean", "wrong_key_std" (of these keys), "wrong_key_accuracies", "wrong_keys": how many, "images": for the
  right key, "wrong_key_images", "seed", "suite", "array", "network_sha256", "float_source", "seconds", "machine",
  "versions"}}}; accuracies are fractions
"""

import argparse
from pathlib import Path

from deeplock.cli.options import (
    add_images,
    add_json,
    add_key_file,
    add_seed,
    positive,
    refuse_given,
    refuse_unused_data,
)

__all__ = ["add_arguments", "run"]

_PAPER = ("mnist", "fashion-mnist", "cifar10")
_PAPER_JSON = Path("docs/results/accuracy.json")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?", help="checkpoint, quantised network or loadable")
    add_key_file(parser, "the master key")
    parser.add_argument("--wrong-keys", "--keys", type=positive, metavar="N", help="try N random keys as well")
    add_seed(parser, "seed of the random keys")
    parser.add_argument("--count", type=positive, metavar="N", help="run the first N images only")
    add_images(parser)
    add_json(parser)
    group = parser.add_argument_group("paper")
    group.add_argument(
        "--paper", action="store_true", help=f"measure trained networks; --json is {_PAPER_JSON} by default"
    )
    group.add_argument(
        "--networks", type=_names, metavar="NAME[,NAME...]", default=_PAPER, help=f"these networks ({','.join(_PAPER)})"
    )
    group.add_argument("--wrong-images", type=positive, metavar="N", default=2000, help="images per wrong key (2000)")
    group.add_argument("--fresh", action="store_true", help="measure again what the --json file holds")


def run(args: argparse.Namespace) -> None:
    if args.paper:
        _run_paper(args)
    else:
        _run_file(args)


def _run_paper(args: argparse.Namespace) -> None:
    from deeplock.bench.accuracy import Trial, measure
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.files import check_output
    from deeplock.report.accuracy_report import accuracy_table

    refuse_given(args, "with --paper", "file", "key_file", "count", "images")
    trial = Trial(args.wrong_keys or Trial.wrong_keys, args.wrong_images, args.seed)
    path = args.json or _PAPER_JSON
    check_output(path)
    with progress_shown() as progress:
        measured = measure(args.networks, trial, path, args.data_dir, args.fresh, progress)
    print_table(accuracy_table(measured))
    print(f"figures: {path}")


def _run_file(args: argparse.Namespace) -> None:
    import numpy as np

    from deeplock.cli.options import read_key_file
    from deeplock.cli.output import print_pairs
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network.artefact import load
    from deeplock.pymodel.spec.licence import Licence
    from deeplock.pymodel.spec.loadable import Loadable
    from deeplock.pymodel.zoo.classifier import classifier_of
    from deeplock.pymodel.zoo.images import labelled_images
    from deeplock.report.tables import percent

    if args.file is None:
        raise DeeplockError("give FILE or --paper")
    refuse_given(args, "without --paper", "networks", "wrong_images", "fresh")
    refuse_unused_data(args)
    if args.wrong_keys is None:
        refuse_given(args, "without --wrong-keys", "seed")
    wrong_keys = args.wrong_keys or 0
    artefact = load(args.file)
    if isinstance(artefact, Licence):
        raise DeeplockError(f"{args.file}: a licence holds no network")
    found = classifier_of(artefact)
    locked = suite(found.suite).locks
    if wrong_keys and not locked:
        raise DeeplockError("it is not locked: leave --wrong-keys out, or lock it first")
    if wrong_keys and suite(found.suite).seals:
        raise DeeplockError(f"suite {found.suite} seals: a wrong key opens nothing, so leave --wrong-keys out")
    only_wrong = args.key_file is None and wrong_keys
    key = None if only_wrong else read_key_file(args.key_file, found.suite)
    if key is not None and isinstance(artefact, Loadable):
        artefact.check_key(key)
    images = labelled_images(args.images, args.data_dir, found.source, found.shape, args.count, found.classes)
    if images.labels is None:
        raise DeeplockError(f"{args.images}: has no `labels` to compare with")
    accuracy = None if key is None else images.accuracy(found.outputs(key, images.real))
    wrong = []
    rng = np.random.default_rng(args.seed)
    with progress_shown() as progress, np.errstate(all="ignore"):
        for number in range(wrong_keys):
            progress("wrong keys", number, wrong_keys)
            wrong.append(images.accuracy(found.outputs(rng.bytes(16), images.real)))
    mean = float(np.mean(wrong)) if wrong else None
    pairs: list[tuple[str, object]] = [("images", len(images.real))]
    if accuracy is not None:
        pairs.append(("accuracy with this key" if locked else "accuracy", percent(accuracy)))
    if mean is not None:
        spread = f"{percent(min(wrong))} .. {percent(max(wrong))}"
        pairs.append((f"mean of {len(wrong)} random keys", f"{percent(mean)} ({spread})"))
    print_pairs(*pairs)
    write_json(
        args.json,
        {
            "file": str(args.file),
            "kind": found.kind,
            "suite": found.suite,
            "images": len(images.real),
            "accuracy": accuracy,
            "wrong_keys": wrong,
            "wrong_key_mean": mean,
        },
    )
