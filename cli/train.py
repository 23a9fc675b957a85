"""Train a network and quantise it to int8: float checkpoint and network file.

PREFIX.float.safetensors holds the float32 parameters under their PyTorch names; PREFIX.int8.safetensors holds the
quantised network, which `deeplock compile` takes. The same seed gives the same parameters.

Networks: digits (handwritten digits, bundled, trains in seconds).

examples:
  deeplock train digits -o build/digits
  deeplock train digits --seed 7 --epochs 10 -o build/digits-7 --json build/digits-7.json

JSON: {"network", "dataset", "seed", "parameters", "images", "accuracy": {"float", "int8"}, "files": [float, int8]}
"""

import argparse
from pathlib import Path

from cli.options import add_data_dir, add_json, positive

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="name of the network")
    parser.add_argument("-o", "--output", metavar="PREFIX", required=True, help="the two files are named after it")
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights and of the order of the images (0)")
    parser.add_argument("--epochs", type=positive, help="passes over the training images (the network's usual number)")
    add_data_dir(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from cli.images import Labelled
    from cli.output import Progress, make_folder_of, percent, print_table, write_json
    from cli.training import train_and_quantise
    from pymodel import golden
    from pymodel.network_file import save_network
    from pymodel.preprocess import to_real
    from pymodel.train import save_checkpoint

    files = [make_folder_of(Path(f"{args.output}.{kind}.safetensors")) for kind in ("float", "int8")]
    with Progress() as progress:
        trained = train_and_quantise(args.network, args.seed, args.epochs, args.data_dir, progress)
    network, data = trained.network, trained.data
    test = Labelled(to_real(data.name, data.test_images), data.test_labels)
    int8 = test.accuracy(golden.run(network, test.ifmaps(network.input))[network.layers[-1].name])
    assert int8 is not None
    save_checkpoint(files[0], trained.module, args.network, args.seed)
    save_network(files[1], network)
    print_table(
        [("float32", percent(trained.accuracy), files[0]), ("int8", percent(int8), files[1])],
        ("network", "accuracy", "file"),
    )
    write_json(
        args.json,
        {
            "network": args.network,
            "dataset": data.name,
            "seed": args.seed,
            "parameters": sum(parameter.numel() for parameter in trained.module.parameters()),
            "images": len(data.test_labels),
            "accuracy": {"float": trained.accuracy, "int8": int8},
            "files": [str(file) for file in files],
        },
    )
