"""Compile a quantised network to a loadable.

NETWORK is the int8 network file that `deeplock train` writes, an int8 network of TensorFlow Lite (.tflite) or ONNX (.onnx),
or any PyTorch network that torch.export saved (.pt2). The last, and ONNX files in float, are quantised with the images of
--calibration: see docs/bring-your-own-network.md. Their input is float [n, channels, height, width]: (pixel / 255 - mean) /
std for raw pixels 0..255. So is that of an int8 network with --mean or --std; else the pixels 0..255 are the bytes -128..127
of its input.

With --key-file the loadable is sealed by suite acorn, with --board by the board's, or locked by the one that --suite names;
without a key it is plain, and of no wider rights than NETWORK. A suite that seals wants a key of 16 bytes. The loadable
fits accelerators of exactly this geometry (rows, columns, bytes per beat) with at least these memories. The bytes that pad
the array are random, so two loadables of one network differ. A size of the array that is not given follows from the others.

It prints what the loadable needs of an accelerator; for each layer the cycles an image to expect, its lower bound, and the
share of these cycles in which a processing element multiplies; and the smallest accelerator that takes the network: the
smallest array, from 4x4 on, with the smallest memories that cost no cycle. --auto compiles for that one, but for sizes that are
given. Cycles are expected by a model (docs/architecture.md, "Expected cycles"); `deeplock simulate` measures them.

With --key-check, for suite deep-lock, the file holds 32 bits of a hash of the key and a salt, so that the other commands refuse
a wrong key, and whoever has the file can test guesses (docs/security.md). Without it nothing tells whether a key is right.

With --batch, an inference takes N ifmaps, and the dense layers at the network's end take their weights once for all N.

examples:
  deeplock compile build/digits.int8.safetensors --key-file my.key -o build/digits.loadable
  deeplock compile build/digits.int8.safetensors --rows 4 -o build/plain-4x4.loadable
  deeplock compile build/digits.int8.safetensors --auto --key-file my.key -o build/small.loadable
  deeplock compile build/digits.int8.safetensors --suite deep-lock --key-file my.key --key-check -o build/digits.loadable
  deeplock compile build/digits.int8.safetensors --batch 8 --key-file my.key -o build/digits-8.loadable
  deeplock compile pymodel/zoo/trained/mnist.safetensors --board icebreaker --key-file my.key -o build/mnist.loadable
  deeplock compile mine.tflite --key-file my.key -o build/mine.loadable
  deeplock compile mine.pt2 --calibration my-images --key-file my.key -o build/mine.loadable
  deeplock compile mine.pt2 --calibration my-images --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 -o build/mine.loadable

A network read from an exported program is compared with PyTorch on the calibration images, in float and, layer by layer, in
integers. It is refused if they differ. The error of int8 against float is printed.
If outliers among these images eat the range of a tensor, a warning names the first. An int8 network is compared with its
engine, LiteRT or onnxruntime, layer by layer on random ifmaps, and refused if a layer differs by more than rounding explains.

A layer that takes more cycles than its array bound (docs/glossary.md) is printed with the reason.

JSON: {"network", "suite", "key_check", "rows", "cols", "bytes_per_beat", "batch", "needs": {memories}, "features",
  "layers": as of `deeplock info`, "parameter_bytes", "lower_bound", "expected_cycles": an image, "utilisation": 0..1,
  "expected": [{"layer", "cycles", "lower_bound", "utilisation": null without weights}],
  "smallest": {sizes, "expected_cycles"}, null with --board, "file"};
  of an exported program also {"graph_error", "layer_lsb", "output_lsb", "agreement", "outliers"}:
  of an int8 file of another engine {"engine", "inputs", "layer_share", "layer_lsb", "agreement", "notes"}:
  docs/bring-your-own-network.md
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from deeplock.cli.options import (
    SEALING_SUITE,
    SIZES,
    add_accelerator,
    add_calibration,
    add_json,
    add_key_file,
    add_output,
    add_suite,
    positive,
    refuse_given,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, metavar="NETWORK", help="int8 network file, .tflite, .onnx or .pt2")
    add_output(parser, "-o", "--output", metavar="LOADABLE", required=True, help="the loadable file")
    add_key_file(parser, "lock the loadable with this master key; without it, the loadable is plain")
    add_suite(parser, SEALING_SUITE, of_board=True)
    parser.add_argument(
        "--key-check",
        action="store_true",
        help="store what tells a wrong key to simulate, predict, evaluate, run and unlock; it tells guesses apart, too",
    )
    parser.add_argument("--batch", type=positive, metavar="N", default=1, help="ifmaps that share dense weights (1)")
    add_calibration(parser)
    add_accelerator(parser, from_loadable=False)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--board", metavar="B", help="compile for this board (an unknown name lists all)")
    target.add_argument(
        "--auto", action="store_true", help="compile for the smallest accelerator that takes the network"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.cli.output import print_agreement, print_table, warn_of_known_bytes
    from deeplock.fpga.boards import board
    from deeplock.pymodel.compiler.compiler import compile_network, outline
    from deeplock.pymodel.compiler.smallest import smallest
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import ANYONE, rights_of, write_json
    from deeplock.pymodel.frontends.int8_file import is_float_program, read_int8
    from deeplock.pymodel.lock.key_check import key_check
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.network.artefact import load, save
    from deeplock.pymodel.network.foreign import engine_of
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.accelerator import array_of
    from deeplock.pymodel.spec.config import FEATURES, ON_DEMAND, Config
    from deeplock.report.bounds import above_bounds
    from deeplock.report.expectation import expectation, expectation_table, expectation_text, needs_text, sizes_text

    is_program = is_float_program(args.network)
    if args.board is not None:
        refuse_given(args, "with --board, which says what it has", *SIZES, *FEATURES)
    if args.key_file is None:
        refuse_given(args, "without --key-file", "suite")
    of_engine = not is_program and engine_of(args.network)
    if of_engine:
        refuse_given(args, f"on {args.network}, which is int8 already", "calibration")
    elif not is_program:
        refuse_given(args, f"on {args.network}, which is no exported program", "calibration", "mean", "std")
    features, sizes = ({name: getattr(args, name) for name in names} for names in (FEATURES, SIZES))
    config, chosen = None, args.suite or SEALING_SUITE
    if args.board:
        config = board(args.board).for_suite(args.suite).config
        chosen = config.suite
    elif not args.auto:
        sizes |= array_of(args.rows, args.cols, args.bytes_per_beat)
        config = Config(**{name: value for name, value in (features | sizes).items() if value is not None})
    key = read_key(args.key_file, "model" if suite(chosen).seals else "") if args.key_file else None
    if args.key_check and (key is None or not suite(chosen).locks):
        raise DeeplockError("--key-check has no effect on a plain loadable: give --key-file, and a suite that locks")
    if args.key_check and suite(chosen).seals:
        raise DeeplockError(f"--key-check has no effect with suite {chosen}, whose tags tell a wrong key already")
    key = suite_key(key, chosen, "model") if key is not None else None
    agreement = None
    if is_program:
        if args.calibration is None:
            raise DeeplockError(f"{args.network}: a network in float is quantised with images: give --calibration")
        from deeplock.pymodel.zoo.pipeline import quantise_program

        network, agreement = quantise_program(args.network, args.calibration, args.mean, args.std)
    elif of_engine:
        network, agreement = read_int8(args.network, args.mean, args.std)
    else:
        network = load(args.network)
    if not isinstance(network, Network):
        raise DeeplockError(f"{args.network}: not a quantised network (deeplock quantise makes one of a checkpoint)")
    least = None if args.board else smallest(network, features | (sizes if args.auto else {}), args.batch)
    if config and least:
        config = replace(config, **{name: getattr(config, name) or getattr(least, name) for name in ON_DEMAND})
    config = config or least
    assert config is not None
    try:
        loadable = compile_network(network, config, batch=args.batch)
    except DeeplockError as error:
        if least is None or args.auto:
            raise
        raise DeeplockError(f"{error}; --auto takes the smallest accelerator that the network fits") from None
    if key is not None:
        loadable = replace(loadable.locked(chosen, key), key_check=key_check(key) if args.key_check else b"")
    save(args.output, loadable, at_most=ANYONE if key is not None else rights_of(args.network))
    does = "sealed" if suite(loadable.suite).seals else "locked"
    locked = f"{does} by suite {loadable.suite}" if key is not None else "plain"
    locked += ", with a key check" * args.key_check
    warn_of_known_bytes(loadable)
    print(f"{args.output}: {network.name} for {config.rows}x{config.cols} (B = {config.bytes_per_beat}), {locked}")
    print(f"{len(loadable.program)} layers, {len(loadable.parameters)} parameter bytes")
    print(f"needs: {needs_text(loadable)}" + "".join(f", {name}" for name in loadable.features))
    expected = expectation(loadable, config)
    print(
        expectation_text(expected, loadable)
        + "; waiting for the board's flash and UART adds to them" * bool(args.board)
    )
    print_table(expectation_table(expected))
    for line in above_bounds(loadable):
        print(line)
    smaller = None
    if least is not None:
        on_least = expectation(outline(network, least, args.batch), least)
        smaller = {name: getattr(least, name) for name in SIZES} | {"expected_cycles": on_least["expected_cycles"]}
        text = sizes_text(least.rows, least.cols, least.bytes_per_beat, smaller)
        print(f"smallest that takes it (--auto): {text}; {smaller['expected_cycles']:,.0f} cycles an image expected")
    if agreement is not None:
        print_agreement(agreement)
    write_json(
        args.json,
        {
            "network": network.name,
            "suite": loadable.suite,
            "key_check": args.key_check,
            "rows": config.rows,
            "cols": config.cols,
            "bytes_per_beat": config.bytes_per_beat,
            "batch": loadable.batch,
            "needs": loadable.memory_needs,
            "features": list(loadable.features),
            "layers": [asdict(layer) for layer in loadable.interface.layers],
            "parameter_bytes": len(loadable.parameters),
            "lower_bound": loadable.interface.lower_bound,
            **expected,
            "smallest": smaller,
            "file": str(args.output),
            **(asdict(agreement) if agreement is not None else {}),
        },
    )
