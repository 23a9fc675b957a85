"""Issue a licence: the key of a sealed model for one device, with what the device may do.

The licence wraps the model key for the holder of the device key. It holds nothing else that is secret: send it to the customer
with the sealed loadable. A device takes it in front of the loadable, opens it inside, and refuses it if it is for another
device or was changed. What --allow says is enforced by accelerators that have `permissions`; the others refuse nothing but
the key. See docs/licensing.md.

--allow versions=2-5     versions of the model; 2- has no end (all)
--allow inferences=1000  inferences from power-up on (any number)
--allow classes=0-3,7    outputs that show; the others read -128 (all)

examples:
  deeplock licence build/sealed.loadable --model-key model.key --device-key device-1.key --device 1 -o build/device-1.licence
  deeplock licence build/sealed.loadable --model-key model.key --device-key device-1.key --device 1 --allow versions=2- \\
    --allow inferences=1000 --allow classes=0-3,7 -o build/device-1.licence

JSON: {"suite", "bytes_per_beat", "device", "model", "least_version", "most_version", "inferences", "classes", "bytes", "file"}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_output, number_below

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="sealed loadable")
    for role in ("model", "device"):
        parser.add_argument(f"--{role}-key", type=Path, metavar="FILE", required=True, help=f"the {role}'s key")
    parser.add_argument(
        "--device", type=number_below(64), metavar="N", required=True, help="number of the device, 64 bits"
    )
    parser.add_argument("--allow", action="append", metavar="WHAT=VALUE", default=[], help="see above")
    add_output(parser, "-o", "--output", metavar="OUT", required=True, help="the licence")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import make_folder_of, write_json
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key
    from deeplock.pymodel.lock.suites import suite
    from deeplock.pymodel.spec.licence import ALL_CLASSES, Licence, allowed, write_licence
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.report.licence import facts

    loadable = read_loadable(args.loadable)
    if not suite(loadable.suite).seals:
        raise DeeplockError(f"{args.loadable}: is not sealed: use `deeplock seal` first")
    model_key = suite_key(read_key(args.model_key, "model"), loadable.suite, "model")
    device_key = suite_key(read_key(args.device_key, "device"), loadable.suite, "device")
    loadable.unlocked(model_key)  # the right one, else a licence would open nothing
    terms = allowed(args.allow, loadable.header, args.device)
    height, width, outputs = loadable.interface.output_shape
    if terms.classes != ALL_CLASSES:
        if loadable.interface.outputs:
            raise DeeplockError("classes can be chosen for networks of one output, and this one has several")
        if (height, width, loadable.batch) != (1, 1, 1):
            raise DeeplockError(
                "classes can be chosen for networks that give one result for each ifmap, not in batches"
            )
        if terms.classes >> outputs:
            raise DeeplockError(
                f"classes must be 0..{outputs - 1}, the network's, not {terms.classes.bit_length() - 1}"
            )
    licence = Licence.issued(terms, model_key, device_key)
    write_licence(make_folder_of(args.output), licence)
    print(f"{args.output}: device {terms.device}, model {terms.model}, {len(licence.stream)} bytes")
    write_json(args.json, {**facts(licence), "bytes": args.output.stat().st_size, "file": str(args.output)})
