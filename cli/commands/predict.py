"""Predict the classes of pictures with a loadable, on the golden model.

Gives what the accelerator gives, byte for byte, without simulating it. PICTURES are any number of PNG files, folders of PNG
files, folders of such folders, one for each class, and arrays as `deeplock simulate --images` takes them. They need no
labels; the accuracy is printed if all have some. The score is the class's output as a real number: the larger, the surer,
and only scores of one network compare. Of a network that gives an ofmap, such as a segmenter, the class that most pixels
have is printed, and its share of them; -o writes all of it. Of a network with several outputs each has lines of its own.

The key is the one that `deeplock simulate` takes: with --licence the device's. Outputs that a licence does not show are -128
in int8. Without the right key of suite deep-lock the classes are guesses; the suites that seal refuse a wrong key.

examples:
  deeplock predict build/mine.loadable my-images --key-file my.key
  deeplock predict build/mine.loadable one.png more.npz --key-file my.key --json build/classes.json
  deeplock predict build/sealed.loadable my-images --key-file device-1.key --licence build/device-1.licence
  deeplock predict build/segmenter.loadable my-images --key-file my.key -o build/maps.npy

JSON: {"loadable", "network", "suite", "classes": [names, if known], "accuracy" (null without labels),
  "pictures": [{"picture", "class", "score", "label" (null if unknown), "scores": [of each output]}]}; of a network that gives
  an ofmap, pictures are {"picture", "class", "area", "areas": [share of pixels of each class]}. Of a network with several
  outputs, pictures have "output" as well, its name: one for each picture and output
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.cli.options import add_json, add_key_file, add_licence, add_output

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("loadable", type=Path, metavar="LOADABLE", help="loadable file")
    parser.add_argument(
        "pictures", type=Path, metavar="PICTURES", nargs="+", help="PNG file, folder, .npz or .npy file"
    )
    add_key_file(parser, "the master key, if the loadable is locked")
    add_licence(parser)
    add_output(
        parser,
        *("-o", "--output"),
        metavar="FILE",
        help="write the network's results to FILE, .npy: float32 [pictures, height, width, channels]; of a network with "
        "several outputs .npz, an array for each",
    )
    add_json(parser)


def _areas(names: list[str], scores: "np.ndarray", classes: list[str]) -> list[dict[str, Any]]:
    """Of each picture: which class has how much of it. scores: [n, height, width, channels]"""
    import numpy as np

    best = scores.argmax(axis=-1).reshape(len(scores), -1)
    areas = (best[:, :, np.newaxis] == np.arange(len(classes))).mean(axis=1)
    return [
        {
            "picture": name,
            "class": classes[found.argmax()],
            "area": round(float(found.max()), 6),
            "areas": [round(float(area), 6) for area in found],
        }
        for name, found in zip(names, areas, strict=True)
    ]


def _classes(
    names: list[str], scores: "np.ndarray", classes: list[str], labels: "np.ndarray | None"
) -> list[dict[str, Any]]:
    """Of each picture: its class. scores: [n, 1, 1, channels]"""
    found = scores.reshape(len(scores), -1)
    best = found.argmax(axis=1)
    return [
        {
            "picture": name,
            "class": classes[best[number]],
            "score": round(float(found[number, best[number]]), 6),
            "label": None if labels is None else classes[labels[number]],
            "scores": [round(float(score), 6) for score in found[number]],
        }
        for number, name in enumerate(names)
    ]


def run(args: argparse.Namespace) -> None:
    import io
    import zipfile
    from functools import partial

    import numpy as np

    from deeplock.cli.options import with_key
    from deeplock.cli.output import print_pairs, print_table
    from deeplock.pymodel.compiler import fast_interpreter
    from deeplock.pymodel.compiler.licensed import model_key, shown
    from deeplock.pymodel.files import make_folder_of, replace_file, write_json
    from deeplock.pymodel.spec.accelerator import accelerator_for
    from deeplock.pymodel.spec.loadable import read_loadable
    from deeplock.pymodel.spec.tensor import Output, split_outputs
    from deeplock.pymodel.zoo.evaluation import accuracy
    from deeplock.pymodel.zoo.images import labelled_images
    from deeplock.report.tables import Table, percent

    loadable = read_loadable(args.loadable)
    loadable, config, key = with_key(args, loadable, accelerator_for(loadable))
    interface = loadable.interface
    source, shape, classes = interface.pixels or interface.dataset, interface.input_shape, interface.classes
    found = [labelled_images(path, None, source, shape, None, classes) for path in args.pictures]
    names = [name for each in found for name in each.names]
    ifmaps = np.concatenate([each.ifmaps(interface.input) for each in found])
    known = [each.labels for each in found if each.labels is not None]
    labels = np.concatenate(known) if len(known) == len(found) else None

    parameters = np.frombuffer(loadable.unlocked(model_key(loadable, key)).parameters, np.uint8)
    with np.errstate(all="ignore"):  # a wrong key's scales
        ofmaps = shown(loadable, config, fast_interpreter.run(loadable, parameters, ifmaps, config))
    outputs = interface.outputs or (Output("", interface.output_shape, interface.output),)
    parts = split_outputs(ofmaps, outputs)
    scores = {output.name: output.quantisation.dequantise(part) for output, part in zip(outputs, parts, strict=True)}
    if args.output:
        data, written = io.BytesIO(), {name: found.astype(np.float32) for name, found in scores.items()}
        if interface.outputs:
            with zipfile.ZipFile(data, "w") as archive:  # np.savez takes no array by the name of one of its arguments
                for name, found in written.items():
                    with archive.open(f"{name}.npy", "w") as member:
                        np.lib.format.write_array(member, found)
        else:
            np.save(data, written[""])
        replace_file(make_folder_of(args.output), data.getvalue())
    if interface.outputs or interface.output_shape[:2] != (1, 1):
        labels = None
    pictures = []
    for output in outputs:
        known_as = list(classes) or [str(number) for number in range(output.shape[2])]
        show = partial(_classes, labels=labels) if output.shape[:2] == (1, 1) else _areas
        found = show(names, scores[output.name], known_as)
        score = "score" if "score" in found[0] else "area"
        shows = ("picture", "class", score, *(() if labels is None else ("label",)))
        rounded = [picture | {score: float(f"{picture[score]:.4g}")} for picture in found]
        if interface.outputs:
            print(f"output {output.name}")
            found = [{"picture": picture["picture"], "output": output.name} | picture for picture in found]
        print_table(Table(list(shows), [[picture[name] for name in shows] for picture in rounded]))
        pictures += found
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
