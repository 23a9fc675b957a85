"""Measure the accuracy of a checkpoint, a quantised network or a loadable.

Runs all test images of the data set through the float network (checkpoint) or the golden model (network file, loadable).
Something locked takes --key-file, --wrong-keys N for the accuracy under N random keys, or both.

--paper, instead of FILE, measures the trained networks that come with deeplock as the paper does: int8; locked with a
random key and unlocked with it, which must give the same ofmaps; and locked, under 100 wrong keys. All figures are exactly
those of the golden model; wrong keys meet the first 2,000 test images only. The keys come from --seed, so that they are
the same each time. Networks that the result file has already, from the same network and with the same options, are kept.

examples:
  deeplock evaluate build/digits.int8.safetensors
  deeplock evaluate build/digits.loadable --key-file my.key --wrong-keys 20
  deeplock evaluate build/locked.safetensors --key-file my.key --wrong-keys 100 --seed 7 --json build/accuracy.json
  deeplock evaluate --paper --data DIR && python report/results.py docs/results/accuracy.json

JSON: {"file", "kind": "checkpoint" | "network" | "loadable", "suite", "images", "accuracy" (null without --key-file where
  locked), "wrong_keys": [accuracies], "wrong_key_mean" (null without --wrong-keys)}
JSON with --paper: {"command", "networks": {NAME: {"parameters", "float" (recorded in training), "int8", "unlocked",
  "wrong_key_mean", "wrong_key_std" (of these keys), "wrong_key_accuracies", "wrong_keys": how many, "images": for the
  right key, "wrong_key_images", "seed", "suite", "array", "network_sha256", "float_source", "seconds", "machine",
  "versions"}}}; accuracies are fractions
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from deeplock.cli.options import add_images, add_json, add_key_file, positive

if TYPE_CHECKING:
    import numpy as np

    from deeplock.pymodel.lock.checkpoint import Checkpoint

__all__ = ["add_arguments", "run"]

_PAPER = ("mnist", "fashion-mnist", "cifar10")
_PAPER_JSON = Path("docs/results/accuracy.json")
_PAPER_KEYS = 100


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?", help="checkpoint, quantised network or loadable")
    add_key_file(parser, "the master key")
    parser.add_argument("--wrong-keys", "--keys", type=positive, metavar="N", help="try N random keys as well")
    parser.add_argument("--seed", type=int, default=0, help="of the random keys (0)")
    parser.add_argument("--count", type=positive, metavar="N", help="run the first N images only")
    add_images(parser)
    add_json(parser)
    group = parser.add_argument_group("paper")
    group.add_argument(
        "--paper", action="store_true", help=f"measure these networks; --json is {_PAPER_JSON} by default"
    )
    group.add_argument(
        "--networks", type=_names, metavar="NAME[,NAME...]", default=_PAPER, help=f"({','.join(_PAPER)})"
    )
    group.add_argument("--wrong-images", type=positive, metavar="N", default=2000, help="for each wrong key (2000)")
    group.add_argument("--fresh", action="store_true", help="keep nothing of an earlier result")


def _float_runner(artefact: "Checkpoint") -> tuple[str, tuple[int, ...], Callable]:
    """Data set, input shape, and what gives the outputs of real images [n, h, w, c] under a key, of a checkpoint."""
    import numpy as np
    import torch

    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.lock.checkpoint import unlock_checkpoint
    from deeplock.pymodel.zoo import networks

    name = artefact.metadata.get("network", "")
    if name not in networks.NAMES:
        raise DeeplockError(f"the checkpoint's metadata must name a network ({', '.join(networks.NAMES)})")
    dataset = networks.dataset_of(name)

    def outputs(key: bytes, real: "np.ndarray") -> "np.ndarray":
        opened = unlock_checkpoint(artefact, key) if artefact.locked_by else artefact
        module = networks.build(name).eval()
        try:
            module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in opened.tensors.items()})
        except RuntimeError:
            raise DeeplockError(f"the checkpoint's tensors are not those of network {name}") from None
        with torch.no_grad():
            return np.nan_to_num(module(torch.from_numpy(real).permute(0, 3, 1, 2).contiguous()).numpy())

    return dataset, networks.input_shape_of(name), outputs


def _run_paper(args: argparse.Namespace) -> None:
    from deeplock.bench.accuracy import evaluate_paper
    from deeplock.pymodel.errors import DeeplockError

    for option in ("file", "key_file", "count", "images"):
        if getattr(args, option) is not None:
            raise DeeplockError(f"--paper takes no {'--' + option.replace('_', '-') if option != 'file' else 'FILE'}")
    args.wrong_keys = args.wrong_keys or _PAPER_KEYS
    args.json = args.json or _PAPER_JSON
    evaluate_paper(args)


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.errors import DeeplockError

    if args.seed < 0:
        raise DeeplockError(f"--seed must be 0 or more, not {args.seed}")
    if args.paper:
        _run_paper(args)
    else:
        _run_file(args)


def _run_file(args: argparse.Namespace) -> None:
    import numpy as np

    from deeplock.cli.artefact import load
    from deeplock.cli.images import labelled_images
    from deeplock.cli.options import accelerator_for, read_key_file
    from deeplock.cli.output import Progress, percent, print_table, write_json
    from deeplock.pymodel.compiler import fast_interpreter
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network import golden
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.loadable import Loadable
    from deeplock.pymodel.zoo.datasets import CLASSES

    if args.file is None:
        raise DeeplockError("give FILE or --paper")
    wrong_keys = args.wrong_keys or 0
    artefact = load(args.file)
    locked_by = "plain"
    if isinstance(artefact, Loadable):
        kind, locked_by, interface = "loadable", artefact.suite, artefact.interface
        source, shape, classes = interface.pixels or interface.dataset, interface.input_shape, interface.classes
        config = accelerator_for(artefact)

        def outputs(key: bytes, real: np.ndarray) -> np.ndarray:
            parameters = np.frombuffer(artefact.unlocked(key).parameters, np.uint8)
            return fast_interpreter.run(artefact, parameters, interface.input.quantise(real), config)

    elif isinstance(artefact, Network):
        kind, source, shape = "network", artefact.pixels or artefact.dataset, artefact.input_shape
        classes = artefact.classes

        def outputs(key: bytes, real: np.ndarray) -> np.ndarray:
            return golden.run(artefact, artefact.input.quantise(real))[artefact.layers[-1].name]

    else:
        kind, locked_by = "checkpoint", artefact.locked_by or "plain"
        source, shape, outputs = _float_runner(artefact)
        classes = CLASSES[source]

    locked = suite(locked_by).locks
    if wrong_keys and not locked:
        raise DeeplockError("it is not locked: leave --wrong-keys out, or lock it first")
    only_wrong = args.key_file is None and wrong_keys
    key = None if only_wrong else read_key_file(args.key_file, locked_by)
    images = labelled_images(args, source, shape, args.count, classes)
    if images.labels is None:
        raise DeeplockError(f"{args.images}: has no `labels` to compare with")
    accuracy = None if key is None else images.accuracy(outputs(key, images.real))
    wrong = []
    rng = np.random.default_rng(args.seed)
    with Progress() as progress, np.errstate(all="ignore"):
        for number in range(wrong_keys):
            progress(f"wrong key {number + 1} of {wrong_keys}")
            wrong.append(images.accuracy(outputs(rng.bytes(16), images.real)))
    mean = float(np.mean(wrong)) if wrong else None
    rows: list[tuple[str, object]] = [("images", len(images.real))]
    if accuracy is not None:
        rows.append(("accuracy with this key" if locked else "accuracy", percent(accuracy)))
    if mean is not None:
        spread = f"{percent(min(wrong))} .. {percent(max(wrong))}"
        rows.append((f"mean of {len(wrong)} random keys", f"{percent(mean)} ({spread})"))
    print_table(rows)
    write_json(
        args.json,
        {
            "file": str(args.file),
            "kind": kind,
            "suite": locked_by,
            "images": len(images.real),
            "accuracy": accuracy,
            "wrong_keys": wrong,
            "wrong_key_mean": mean,
        },
    )
