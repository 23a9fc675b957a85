"""Predict the classes of pictures with a loadable, on the golden model.

Gives what the accelerator gives, byte for byte, without simulating it. PICTURES are any number of PNG files, folders of PNG
files, folders of such folders, one for each class, and arrays as `deeplock simulate --images` takes them. They need no
labels; the accuracy is printed if all have some. The score is the class's output as a real number: the larger, the surer,
and only scores of one network compare.

The key is the one that `deeplock simulate` takes: with --licence the device's. Outputs that a licence does not show are -128
in int8. Without the right key of suite deep-lock the classes are guesses; the suites that seal refuse a wrong key.

examples:
  deeplock predict build/mine.loadable my-images --key-file my.key
  deeplock predict build/mine.loadable one.png more.npz --key-file my.key --json build/classes.json
  deeplock predict build/sealed.loadable my-images --key-file device-1.key --licence build/device-1.licence

JSON: {"loadable", "network", "suite", "classes": [names, if known], "accuracy" (null without labels),
  "pictures": [{"picture", "class", "score", "label" (null if unknown), "scores": [of each output]}]}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_json, add_key_file, add_licence

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="loadable file")
    parser.add_argument(
        "pictures", type=Path, metavar="PICTURES", nargs="+", help="PNG file, folder, .npz or .npy file"
    )
    add_key_file(parser, "the master key, if the loadable is locked")
    add_licence(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    import numpy as np

    from deeplock.cli.options import with_key
    from deeplock.cli.output import print_pairs, print_table
    from deeplock.pymodel.compiler import fast_interpreter
    from deeplock.pymodel.compiler.licensed import model_key, shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.spec.accelerator import accelerator_for
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.pymodel.zoo.evaluation import accuracy
    from deeplock.pymodel.zoo.images import labelled_images
    from deeplock.report.tables import Table, percent

    loadable = read_loadable(args.loadable)
    loadable, config, key = with_key(args, loadable, accelerator_for(loadable))
    interface = loadable.interface
    if interface.output_shape[:2] != (1, 1):
        raise DeeplockError(f"{args.loadable}: gives an ofmap of {interface.output_shape}, not one result a picture")
    source, shape, classes = interface.pixels or interface.dataset, interface.input_shape, interface.classes
    found = [labelled_images(path, None, source, shape, None, classes) for path in args.pictures]
    names = [name for each in found for name in each.names]
    ifmaps = np.concatenate([each.ifmaps(interface.input) for each in found])
    known = [each.labels for each in found if each.labels is not None]
    labels = np.concatenate(known) if len(known) == len(found) else None

    parameters = np.frombuffer(loadable.unlocked(model_key(loadable, key)).parameters, np.uint8)
    with np.errstate(all="ignore"):  # a wrong key's scales
        ofmaps = shown(loadable, config, fast_interpreter.run(loadable, parameters, ifmaps, config))
    outputs = ofmaps.reshape(len(ofmaps), -1)
    scores = interface.output.dequantise(outputs)
    best = outputs.argmax(axis=1)

    def named(number: int) -> str:
        return classes[number] if classes else str(number)

    pictures = [
        {
            "picture": name,
            "class": named(best[number]),
            "score": round(float(scores[number, best[number]]), 6),
            "label": None if labels is None else named(labels[number]),
            "scores": [round(float(score), 6) for score in scores[number]],
        }
        for number, name in enumerate(names)
    ]
    shows = ("picture", "class", "score", *(() if labels is None else ("label",)))
    rounded = [picture | {"score": float(f"{picture['score']:.4g}")} for picture in pictures]
    print_table(Table(list(shows), [[picture[name] for name in shows] for picture in rounded]))
    right = None if labels is None else accuracy(ofmaps, labels)
    if right is not None:
        print()
        print_pairs(("pictures", len(names)), ("accuracy", percent(right)))
    write_json(
        args.json,
        {
            "loadable": str(args.loadable),
            "network": interface.network,
            "suite": loadable.suite,
            "classes": list(classes),
            "accuracy": right,
            "pictures": pictures,
        },
    )
