"""Compile a quantised network to a loadable.

NETWORK is the int8 network file that `deeplock train` writes, or any PyTorch network that torch.export saved (.pt2). The
latter is quantised with the images of --calibration: see docs/bring-your-own-network.md. Its input is float [n, channels,
height, width]: (pixel / 255 - mean) / std for raw pixels 0..255.

With --key-file the loadable is locked by the suite that --suite names, else plain and of no wider rights than NETWORK. A
suite that seals wants a key of 16 bytes. The loadable fits accelerators of exactly this geometry (rows, columns, bytes per
beat) with at least these memories. The bytes that pad the array are random, so two loadables of one network differ.

With --batch, an inference takes N ifmaps, and the dense layers at the network's end take their weights once for all N.

examples:
  deeplock compile build/digits.int8.safetensors --key-file my.key -o build/digits.loadable
  deeplock compile build/digits.int8.safetensors --rows 4 --cols 4 --bytes-per-beat 4 -o build/plain-4x4.loadable
  deeplock compile build/digits.int8.safetensors --batch 8 --key-file my.key -o build/digits-8.loadable
  deeplock compile pymodel/zoo/trained/mnist.safetensors --board icebreaker --key-file my.key -o build/mnist.loadable
  deeplock compile mine.pt2 --calibration my-images --key-file my.key -o build/mine.loadable
  deeplock compile mine.pt2 --calibration my-images --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 -o build/mine.loadable

A network read from an exported program is compared with PyTorch on the calibration images, in float and, layer by layer, in
integers. It is refused if they differ. The error of int8 against float is printed.
If outliers among these images eat the range of a tensor, a warning names the first.

A layer that takes more cycles than its array bound (docs/glossary.md) is printed with the reason.

JSON: {"network", "suite", "rows", "cols", "bytes_per_beat", "batch", "layers": as of `deeplock info`, "parameter_bytes",
"lower_bound", "file"}; of an exported program also {"graph_error", "layer_lsb", "output_lsb", "agreement", "outliers"}:
docs/bring-your-own-network.md
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from deeplock.cli.options import (
    SIZES,
    add_accelerator,
    add_json,
    add_key_file,
    add_output,
    add_suite,
    positive,
    refuse_given,
)

if TYPE_CHECKING:
    from deeplock.pymodel.frontends.agreement import Agreement

__all__ = ["add_arguments", "run"]


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers with commas between them, not {text}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, metavar="NETWORK", help="int8 network file, or exported program (.pt2)")
    add_output(parser, "-o", "--output", metavar="LOADABLE", required=True, help="the loadable file")
    add_key_file(parser, "lock the loadable with this master key; without it, the loadable is plain")
    add_suite(parser)
    parser.add_argument("--batch", type=positive, metavar="N", default=1, help="ifmaps that share dense weights (1)")
    group = parser.add_argument_group("exported program (.pt2)")
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|FILE",
        help="images like those that it will see: a folder of PNG files, a folder of such folders, one for each class, or "
        "an array [n, height, width, channels]: .npy, or `images` of .npz; uint8: raw pixels, float: the network's input",
    )
    group.add_argument(
        "--mean", type=_numbers, metavar="M[,M...]", default=(0.0,), help="of all channels or of each (0)"
    )
    group.add_argument(
        "--std", type=_numbers, metavar="S[,S...]", default=(1.0,), help="of all channels or of each (1)"
    )
    add_accelerator(parser, from_loadable=False)
    parser.add_argument("--board", metavar="B", help="compile for this board (an unknown name lists all)")
    add_json(parser)


def _print_agreement(found: "Agreement") -> None:
    from deeplock.report.tables import percent

    layer, most = max(found.layer_lsb.items(), key=lambda item: item[1])
    print(f"prepared graph against the program, in float: {found.graph_error:.1e} of the largest output")
    print(f"layers against PyTorch's quantised graph: at most {most} LSB" + f", in {layer}" * (most > 0))
    print(f"int8 against float: {found.output_lsb:.2f} LSB of the output on average, ", end="")
    print(f"the same largest class in {percent(found.agreement)}")
    for first in found.outliers[:1]:  # later tensors follow from it
        print(f"warning: {first}", file=sys.stderr)


def run(args: argparse.Namespace) -> None:

    from deeplock.fpga.boards import board
    from deeplock.pymodel.compiler.compiler import compile_network
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import ANYONE, rights_of, write_json
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network.artefact import load, save
    from deeplock.pymodel.network.foreign import is_exported
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.config import FEATURES, Config
    from deeplock.report.bounds import above_bounds

    is_program = args.network.suffix == ".pt2" or is_exported(args.network)
    if args.board is not None:
        refuse_given(args, "with --board, which says what it has", *SIZES, *FEATURES)
    if args.key_file is None:
        refuse_given(args, "without --key-file", "suite")
    if not is_program:
        refuse_given(args, f"on {args.network}, which is no exported program", "calibration", "mean", "std")
    sizes = {name: getattr(args, name) for name in (*SIZES, *FEATURES)}
    config = board(args.board).for_suite(args.suite).config if args.board else Config(**sizes)
    key = read_key(args.key_file, "model" if suite(args.suite).seals else "") if args.key_file else None
    agreement = None
    if is_program:
        if args.calibration is None:
            raise DeeplockError(f"{args.network}: an exported program is quantised with images: give --calibration")
        from deeplock.pymodel.zoo.pipeline import quantise_program

        network, agreement = quantise_program(args.network, args.calibration, args.mean, args.std)
    else:
        network = load(args.network)
    if not isinstance(network, Network):
        raise DeeplockError(f"{args.network}: not a quantised network (deeplock train writes one)")
    loadable = compile_network(network, config, batch=args.batch)
    if key is not None:
        loadable = loadable.locked(args.suite, suite_key(key, args.suite, "model"))
    save(args.output, loadable, at_most=ANYONE if key is not None else rights_of(args.network))
    does = "sealed" if suite(loadable.suite).seals else "locked"
    locked = f"{does} by suite {loadable.suite}" if key is not None else "plain"
    print(f"{args.output}: {network.name} for {config.rows}x{config.cols} (B = {config.bytes_per_beat}), {locked}")
    print(f"{len(loadable.program)} layers, {len(loadable.parameters)} parameter bytes, ", end="")
    print(
        f"at least {loadable.interface.lower_bound} cycles an image" + f" in batches of {args.batch}" * (args.batch > 1)
    )
    for line in above_bounds(loadable):
        print(line)
    if agreement is not None:
        _print_agreement(agreement)
    write_json(
        args.json,
        {
            "network": network.name,
            "suite": loadable.suite,
            "rows": config.rows,
            "cols": config.cols,
            "bytes_per_beat": config.bytes_per_beat,
            "batch": loadable.batch,
            "layers": [asdict(layer) for layer in loadable.interface.layers],
            "parameter_bytes": len(loadable.parameters),
            "lower_bound": loadable.interface.lower_bound,
            "file": str(args.output),
            **(asdict(agreement) if agreement is not None else {}),
        },
    )
