"""Run a loadable on the accelerator's RTL.

Runs test images back to back and compares every result byte with the golden model. A wrong key is fine: the golden
model computes with the same one. Only a key check (`deeplock compile --key-check`) or a seal refuses it. The first run of a
configuration builds the simulation, which is kept.
The exit code is 1 if a byte differs.

--profile shows where the cycles of each layer went. It runs the same images once more for each layer, while the counters
count only that layer, and checks that the layers add up to the whole run. A layer's lower bound is the larger of
multiplications / PEs and weight bytes / bytes per beat; it does not count pixels that its pooling leaves out. Its array
bound counts what the array's size makes of that: whole words of ROWS bytes of each window, and whole groups of COLS channels.

With --licence the accelerator has licences and permissions: --key-file is the device's key, and the model key comes by the
licence. Here it is opened too, for the golden model; a host that runs the real device never holds it.

examples:
  deeplock simulate build/digits.loadable --key-file my.key --count 5
  deeplock simulate build/digits.loadable --key-file my.key --count 5 --pauses 0.3 --seed 7
  deeplock simulate build/digits.loadable --key-file my.key --simulator native --profile build/profile.png
  deeplock simulate build/plain-4x4.loadable --simulator icarus --waves build/run.fst --json build/run.json

JSON: {"loadable", "network", "suite", "simulator", "rows", "cols", "bytes_per_beat", "pauses", "seed", "images",
  "mismatches", "accuracy" (null without labels), "cycles_per_image", "lower_bound", "seconds",
  "counters": {cycles of the whole run by cause}, "layers": without --profile [], else [{the fields of `deeplock info`, bounds
  as cycles per inference, "counters": as above}]}
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from deeplock.cli.options import (
    add_accelerator,
    add_images,
    add_json,
    add_key_file,
    add_licence,
    add_output,
    add_seed,
    positive,
    refuse_given,
    refuse_unused_data,
)

__all__ = ["add_arguments", "run"]


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, not {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="loadable file")
    add_key_file(parser, "the master key, if the loadable is locked")
    add_licence(parser)
    parser.add_argument("--count", type=positive, metavar="N", default=5, help="images to run (5)")
    parser.add_argument(
        "--simulator",
        choices=("verilator", "icarus", "native"),
        default="verilator",
        help="native: Verilator without cocotb, many times faster, no waves (verilator)",
    )
    parser.add_argument(
        "--pauses",
        type=_probability,
        metavar="P",
        default=0.0,
        help="probability of a pause in a cycle of a stream (0)",
    )
    add_seed(parser, "seed of the pauses")
    add_output(parser, "--waves", metavar="FILE", help="write the signals, the key among them, to FILE")
    add_output(
        parser,
        "--profile",
        metavar="FILE",
        help="print where the cycles of each layer went, and draw it as a PNG; runs the images once more for each layer",
    )
    add_images(parser)
    add_json(parser)
    add_accelerator(parser, from_loadable=True)


def run(args: argparse.Namespace) -> None:
    from deeplock.cli.options import accelerator_given, with_key
    from deeplock.cli.output import print_pairs, print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, replace_file, write_json
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.spec.accelerator import accelerator_for
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.pymodel.zoo.images import labelled_images
    from deeplock.report.tables import percent
    from deeplock.sim.profile import profile
    from deeplock.sim.rtl import run_on_rtl
    from deeplock.sim.toolchain import check_simulator

    refuse_unused_data(args)
    if not args.pauses:
        refuse_given(args, "without --pauses", "seed")
    if args.simulator == "native":
        refuse_given(args, "with --simulator native, which writes no waves", "waves")
    loadable = read_loadable(args.loadable)
    if suite(loadable.suite).sbox is None:
        refuse_given(args, f"with suite {loadable.suite}, which has no S-box", "sbox")
    loadable, config, key = with_key(args, loadable, accelerator_for(loadable, **accelerator_given(args)))
    check_simulator(args.simulator)
    interface = loadable.interface
    source = interface.pixels or interface.dataset
    images = labelled_images(args.images, args.data_dir, source, interface.input_shape, args.count, interface.classes)
    for path in (args.waves, args.profile):
        if path is not None:
            make_folder_of(path)
    ifmaps = images.ifmaps(loadable.interface.input)
    how = {"simulator": args.simulator, "pauses": args.pauses, "seed": args.seed}
    layers = []
    with progress_shown() as progress:
        rtl = run_on_rtl(loadable, config, key, ifmaps, **how, waves=args.waves, progress=progress)
        if args.profile is not None:
            counters = profile(loadable, config, key, list(ifmaps), rtl.counters, **how, progress=progress)
            facts = map(asdict, loadable.interface.layers)
            layers = [{**layer, "counters": each} for layer, each in zip(facts, counters, strict=True)]
    accuracy = None if interface.outputs else images.accuracy(rtl.ofmaps)
    lower_bound = loadable.interface.lower_bound
    print_pairs(
        (
            "accelerator",
            f"{config.rows}x{config.cols}, B = {config.bytes_per_beat}, {config.suite}, {args.simulator}",
        ),
        ("images", args.count),
        ("bytes that differ from golden", rtl.mismatches),
        ("accuracy", "unknown" if accuracy is None else percent(accuracy)),
        ("cycles per image", f"{rtl.cycles_per_image:.1f}"),
        ("lower bound", lower_bound),
        *((f"  {name.lower().replace('_', ' ')}", cycles) for name, cycles in rtl.counters.items()),
    )
    if args.profile is not None:
        from deeplock.report.profile import draw, table

        inferences = -(-args.count // loadable.batch)
        print("\ncycles per inference by layer")
        print_table(table(layers, inferences))
        title = f"{interface.network} on {config.rows}x{config.cols}, B = {config.bytes_per_beat}"
        replace_file(
            args.profile, draw(layers, inferences, title + f", batches of {loadable.batch}" * (loadable.batch > 1))
        )
    write_json(
        args.json,
        {
            "loadable": str(args.loadable),
            "network": loadable.interface.network,
            "suite": config.suite,
            "simulator": args.simulator,
            "rows": config.rows,
            "cols": config.cols,
            "bytes_per_beat": config.bytes_per_beat,
            "pauses": args.pauses,
            "seed": args.seed,
            "images": args.count,
            "mismatches": rtl.mismatches,
            "accuracy": accuracy,
            "cycles_per_image": rtl.cycles_per_image,
            "lower_bound": lower_bound,
            "counters": rtl.counters,
            "layers": layers,
            "seconds": rtl.seconds,
        },
    )
    if rtl.mismatches:
        raise DeeplockError(f"{rtl.mismatches} of {rtl.ofmaps.size} ofmap bytes differ from the golden model")
