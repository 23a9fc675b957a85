"""Quantise a network to int8: the network file that `deeplock compile` takes.

NETWORK is any PyTorch network that torch.export saved (.pt2), an ONNX file in float, or the float checkpoint of `deeplock
train`. Scales are set so that the activations of --calibration fit int8. A checkpoint needs none: by default it takes the
training images that `deeplock train` takes, and gives the same network. Raw pixels of an exported program or ONNX file become
(pixel / 255 - mean) / std; those of a checkpoint mean what its data set says.

An int8 network of TensorFlow Lite (.tflite) or ONNX (.onnx) is taken as it is, and needs no images. It is compared with its
engine, LiteRT or onnxruntime, layer by layer on random ifmaps. Without --mean and --std the pixels 0..255 are the bytes
-128..127 of its input.

The result of the others is compared with PyTorch on these images, in float and, layer by layer, in integers. It is refused
if they differ. The error of int8 against float is printed: docs/bring-your-own-network.md

examples:
  deeplock quantise mine.pt2 --calibration my-images -o build/mine.int8.safetensors
  deeplock quantise mine.pt2 --calibration my-images --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 -o build/mine.int8.safetensors
  deeplock quantise mine.tflite -o build/mine.int8.safetensors
  deeplock quantise build/digits.float.safetensors -o build/digits.int8.safetensors

JSON: {"network", "parameters", "graph_error", "layer_lsb", "output_lsb", "agreement", "outliers", "bytes", "file"};
  of a .tflite or .onnx file {"network", "parameters", "engine", "inputs", "layer_share", "layer_lsb", "agreement", "notes",
  "bytes", "file"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_calibration, add_data_dir, add_json, add_output, refuse_given

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, metavar="NETWORK", help=".pt2, .tflite, .onnx or float checkpoint")
    add_output(parser, "-o", "--output", metavar="OUT", required=True, help="the network file")
    add_calibration(parser)
    add_data_dir(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from deeplock.cli.output import print_agreement
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import rights_of, write_json
    from deeplock.pymodel.frontends.int8_file import is_float_program, read_int8
    from deeplock.pymodel.lock.checkpoint import Checkpoint
    from deeplock.pymodel.network.artefact import load, save
    from deeplock.pymodel.network.foreign import engine_of

    if args.calibration is not None:
        refuse_given(args, "with --calibration", "data_dir")
    if is_float_program(args.network):
        if args.calibration is None:
            raise DeeplockError(f"{args.network}: a network in float is quantised with images: give --calibration")
        from deeplock.pymodel.zoo.pipeline import quantise_program

        network, agreement = quantise_program(args.network, args.calibration, args.mean, args.std)
    elif engine_of(args.network):
        refuse_given(args, f"on {args.network}, which is int8 already", "calibration", "data_dir")
        network, agreement = read_int8(args.network, args.mean, args.std)
    else:
        refuse_given(args, f"on {args.network}, which is no exported program", "mean", "std")
        if not isinstance(load(args.network), Checkpoint):
            raise DeeplockError(f"{args.network}: must be .pt2, .tflite, .onnx or a float checkpoint")
        from deeplock.pymodel.zoo.pipeline import quantise_checkpoint

        network, agreement = quantise_checkpoint(args.network, args.calibration, args.data_dir)
    _, size = save(args.output, network, at_most=rights_of(args.network))
    parameters = sum(layer.parameters for layer in network.layers)
    print(f"{args.output}: {network.name} in int8, {parameters} parameters, {size} bytes")
    print_agreement(agreement)
    write_json(
        args.json,
        {
            "network": network.name,
            "parameters": parameters,
            **asdict(agreement),
            "bytes": size,
            "file": str(args.output),
        },
    )
