"""Run a loadable on a board: load the key, send images, get their classes and the hardware's counters.

The board's flash must hold the bitstream of `deeplock synth --board` and this loadable: `deeplock program` writes both.
Every result byte is compared with the golden model under the same key. The exit code is 1 if a byte differs. With --licence,
which `deeplock program` has put in front of the loadable, the key is the device's. Without --key-file it is in the device
already, and results are not compared.

examples:
  deeplock run build/mnist.loadable --board icebreaker --port /dev/ttyUSB1 --key-file my.key --data DIR --count 20
  deeplock run build/mine.loadable --board ulx3s-85f --port /dev/ttyUSB0 --key-file my.key --images my-images

JSON: {"loadable", "network", "board", "clock_hz", "images", "mismatches" (null if not compared), "accuracy" (null without
  labels), "classes": [one an image], "cycles_per_image", "images_per_second": at the board's clock, "counters": {cycles by
  cause}}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_images, add_json, add_key_file, positive, refuse_unused_data

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="loadable file, as it is in the board's flash")
    parser.add_argument("--port", metavar="P", required=True, help="serial port of the board, such as /dev/ttyUSB1")
    parser.add_argument("--board", metavar="B", required=True, help="name of the board (an unknown name lists all)")
    add_key_file(parser, "the master key, if the loadable is locked")
    parser.add_argument("--licence", type=Path, metavar="FILE", help="licence that is in front of the loadable")
    parser.add_argument("--count", type=positive, metavar="N", default=5, help="images to run (5)")
    add_images(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    import asyncio

    import numpy as np

    from deeplock.cli.options import read_key_file
    from deeplock.cli.output import print_pairs, print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.fpga.boards import board
    from deeplock.fpga.host.driver import BoardDriver
    from deeplock.fpga.host.port import open_board
    from deeplock.pymodel.compiler.licensed import expected_ofmaps
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.progress import Progress
    from deeplock.pymodel.spec.licence import read_licence
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.pymodel.spec.registers import counters_of
    from deeplock.pymodel.zoo.images import labelled_images
    from deeplock.report.tables import Table, percent

    refuse_unused_data(args)
    loadable = read_loadable(args.loadable)
    there = board(args.board).for_suite(loadable.suite, args.licence is not None)
    loadable.check_fits(there.config)
    if args.licence is not None:
        loadable = loadable.under(read_licence(args.licence), there.config.permissions)
    keyless = args.licence is not None and args.key_file is None
    key = b"" if keyless else read_key_file(args.key_file, loadable.suite, "device" if args.licence else "model")
    loadable.check_key(key)
    interface = loadable.interface
    source = interface.pixels or interface.dataset
    images = labelled_images(args.images, args.data_dir, source, interface.input_shape, args.count, interface.classes)
    ifmaps = images.ifmaps(interface.input)

    async def work(progress: Progress):
        async with open_board(args.port, there.baud, there.name) as client:
            driver = BoardDriver(client, there.loadable_address)
            if not keyless:
                await driver.reset()
                await driver.load_key(key)
            try:
                return await driver.run(loadable, list(ifmaps), lambda done, of: progress("inferences", done, of))
            finally:
                if not keyless:
                    await driver.zeroise()

    with progress_shown() as progress:
        result = asyncio.run(work(progress))
    ofmaps = np.stack(result.ofmaps)
    mismatches = None if keyless else int((ofmaps != expected_ofmaps(loadable, there.config, key, ifmaps)).sum())
    accuracy = None if interface.outputs else images.accuracy(ofmaps)
    best = [] if interface.outputs else ofmaps.reshape(len(ofmaps), -1).argmax(axis=1)
    classes = [interface.classes[index] if interface.classes else str(index) for index in best]
    counters = {name: result.counters[name] for name in counters_of(there.config)}
    cycles = counters["CYCLES"] / len(ofmaps)
    if classes:
        print_table(Table(["image", "class"], list(enumerate(classes))))
        print()
    print_pairs(
        ("board", f"{there.name}, {there.clock_hz / 1e6:g} MHz"),
        ("bytes that differ from golden", "not compared" if keyless else mismatches),
        ("accuracy", "unknown" if accuracy is None else percent(accuracy)),
        ("cycles per image", f"{cycles:.1f}"),
        ("images per second", f"{there.clock_hz / cycles:.1f}"),
        *((f"  {name.lower().replace('_', ' ')}", count) for name, count in counters.items()),
    )
    write_json(
        args.json,
        {
            "loadable": str(args.loadable),
            "network": interface.network,
            "board": there.name,
            "clock_hz": there.clock_hz,
            "images": len(ofmaps),
            "mismatches": mismatches,
            "accuracy": accuracy,
            "classes": classes,
            "cycles_per_image": round(cycles, 2),
            "images_per_second": round(there.clock_hz / cycles, 2),
            "counters": counters,
        },
    )
    if mismatches:
        raise DeeplockError(f"{mismatches} of {ofmaps.size} ofmap bytes differ from the golden model")
