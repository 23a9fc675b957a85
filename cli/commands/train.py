"""Train a network and quantise it to int8: float checkpoint and network file.

PREFIX.float.safetensors holds the float32 parameters under their PyTorch names; PREFIX.int8.safetensors holds the
quantised network, which `deeplock compile` takes. The same seed gives the same parameters.

Networks: digits (handwritten digits, bundled, trains in seconds); those of the Deep-Lock paper, mnist, fashion-mnist and
cifar10 (minutes; `deeplock data fetch NAME` gets their images); gtsrb (traffic signs, residual blocks; minutes;
pymodel/zoo/gtsrb.py describes its images). Trained ones come with deeplock: pymodel/zoo/trained.

examples:
  deeplock train digits -o build/digits
  deeplock train digits --seed 7 --epochs 10 -o build/digits-7 --json build/digits-7.json
  deeplock train cifar10 --data data -o build/cifar10

JSON: {"network", "dataset", "command", "seed", "parameters", "images", "accuracy": {"float", "int8"}, "files": [float,
  int8], "recipe": {...}, "precision", "seconds", "versions": {...}, "machine"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_data_dir, add_json, add_output, add_seed, positive

__all__ = ["add_arguments", "run"]


def _files(args: argparse.Namespace) -> list[Path]:
    """Checkpoint and network file."""
    return [Path(f"{args.output}.{kind}.safetensors") for kind in ("float", "int8")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="name of the network")
    text = "first part of the names of both files"
    add_output(parser, "-o", "--output", type=str, metavar="PREFIX", required=True, files=_files, help=text)
    add_seed(parser, "seed of initial weights and image order")
    parser.add_argument("--epochs", type=positive, help="passes over the training images (the network's usual number)")
    add_data_dir(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from deeplock.bench.environment import machine, versions
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.files import make_folder_of, write_json
    from deeplock.pymodel.network.network_file import save_network
    from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps
    from deeplock.pymodel.zoo.pipeline import train_and_quantise
    from deeplock.pymodel.zoo.preprocess import quantise_input
    from deeplock.pymodel.zoo.train import precision, save_checkpoint
    from deeplock.report.tables import Table, percent

    files = [make_folder_of(file) for file in _files(args)]
    with progress_shown() as progress:
        trained = train_and_quantise(args.network, args.seed, args.epochs, args.data_dir, progress)
        network, data = trained.network, trained.data
        ifmaps = quantise_input(network, data.test_images)
        int8 = accuracy(golden_ofmaps(network, ifmaps, progress=progress), data.test_labels)
    save_checkpoint(files[0], trained.module, args.network, args.seed)
    save_network(files[1], network)
    rows = [("float32", percent(trained.accuracy), files[0]), ("int8", percent(int8), files[1])]
    print_table(Table(["network", "accuracy", "file"], rows))
    write_json(
        args.json,
        {
            "network": args.network,
            "dataset": data.name,
            "command": f"deeplock train {args.network} --seed {args.seed} --epochs {trained.recipe.epochs}",
            "seed": args.seed,
            "parameters": sum(parameter.numel() for parameter in trained.module.parameters()),
            "images": len(data.test_labels),
            "accuracy": {"float": trained.accuracy, "int8": int8},
            "files": [str(file) for file in files],
            "recipe": asdict(trained.recipe),
            "precision": precision(trained.recipe),
            "seconds": round(trained.seconds),
            "versions": versions("torch", "torchao", "numpy"),
            "machine": machine(),
        },
    )
