"""Options that several subcommands share."""

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec.config import FEATURES, SBOX_STYLES, Config

if TYPE_CHECKING:
    from deeplock.pymodel.lock.keys import Purpose
    from deeplock.pymodel.spec.loadable import Loadable

__all__ = [
    "SEALING_SUITE",
    "SIZES",
    "accelerator_given",
    "add_accelerator",
    "add_calibration",
    "add_config",
    "add_data_dir",
    "add_images",
    "add_json",
    "add_key_file",
    "add_licence",
    "add_output",
    "add_seed",
    "add_suite",
    "check_paths",
    "config_given",
    "number_below",
    "positive",
    "refuse_given",
    "refuse_unused_data",
    "read_key_file",
    "seeds",
    "with_key",
]

SIZES = {
    "rows": "rows of the array",
    "cols": "columns of the array",
    "bytes_per_beat": "bytes per beat of the loadable stream",
    "activation_words": "depth of the activation memory in words of ROWS bytes",
    "accumulators": "depth of the accumulator memory in pixels",
    "sum_bits": "bits of the accumulators: 24 or 32",
    "program_words": "depth of the program memory in 32-bit words",
    "ifmap_bytes": "size of the ifmap buffer",
}


def positive(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text}")
    return int(text)


def number_below(bits: int) -> Callable[[str], int]:
    """For argparse: a whole number of so many bits, decimal or 0x..."""

    def number(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:
            value = -1
        if not 0 <= value < 1 << bits:
            raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^{bits} - 1, not {text}")
        return value

    return number


_SEED = number_below(32)  # what every generator takes


def seeds(text: str) -> tuple[int, ...]:
    """For argparse: seeds with commas between them."""
    return tuple(map(_SEED, text.split(",")))


def add_seed(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--seed", type=_SEED, metavar="N", default=0, help=f"{text}, 0..4294967295 (0)")


def add_output(
    parser: argparse._ActionsContainer,
    *names: str,
    files: Callable[[argparse.Namespace], Iterable[Path]] | None = None,
    **more: Any,
) -> None:
    """Add an option that names an output. Every other option whose value is a Path is an input.

    files  gives the files that the command writes, from all options; by default the one that the option names
    """
    dest = parser.add_argument(*names, **{"type": Path, **more}).dest

    def named(args: argparse.Namespace) -> Iterable[Path]:
        return filter(None, [getattr(args, dest)])

    parser.set_defaults(outputs={**(parser.get_default("outputs") or {}), dest: files or named})


def _paths(value: object) -> Iterator[Path]:
    """The paths in an option's value."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item)


_STREAMED = ("key_file", "model_key", "device_key", "known", "sweep")
"""Inputs that may come through a pipe. All others are read by their size, which a pipe lacks and /dev/zero has no end of."""


def check_paths(args: argparse.Namespace) -> None:
    """Raise DeeplockError if the command may not write its outputs (pymodel/files.py), or if an input is neither a regular file
    nor a folder; called before it runs."""
    from deeplock.pymodel.files import check_outputs
    from deeplock.pymodel.zoo.datasets import IN_FOLDERS

    outputs = vars(args).get("outputs", {})
    given = {name: list(_paths(value)) for name, value in vars(args).items() if name not in outputs}
    data = [file for folder in given.pop("data_dir", []) for name in IN_FOLDERS for file in (folder / name).rglob("*")]
    for path in (path for name, paths in given.items() if name not in _STREAMED for path in paths):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise DeeplockError(f"{path}: is not a regular file")
    inputs = [path for paths in given.values() for path in paths]
    images = [
        file for path in inputs for pattern in ("*.[pP][nN][gG]", "*/*.[pP][nN][gG]") for file in path.glob(pattern)
    ]
    check_outputs([file for files in outputs.values() for file in files(args)], [*inputs, *images, *data])


def refuse_given(args: argparse.Namespace, why: str, *names: str) -> None:
    """DeeplockError if the user gave one of these options, by the names of their values: it would have no effect, and why."""
    if useless := [args.given[name] for name in names if name in args.given]:
        raise DeeplockError(f"{useless[0]} has no effect {why}: leave it out")


def refuse_unused_data(args: argparse.Namespace) -> None:
    """Of `add_images`: the data sets' folder beside images of one's own."""
    if args.images is not None:
        refuse_given(args, "with --images", "data_dir")


def add_json(parser: argparse.ArgumentParser) -> None:
    add_output(parser, "--json", metavar="FILE", help="write the figures to FILE as well")


def add_key_file(parser: argparse.ArgumentParser, text: str, required: bool = False) -> None:
    parser.add_argument("--key-file", type=Path, metavar="FILE", required=required, help=text)


def add_licence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--licence", type=Path, metavar="FILE", help="run under this licence")


SEALING_SUITE = "acorn"
"""The suite that seals, unless one is named."""


def add_suite(parser: argparse.ArgumentParser, default: str = Config.suite, of_board: bool = False) -> None:
    """Add --suite; `of_board`: with --board the default is the board's, and None stands for either."""
    text = f"lock suite ({default}, or the board's)" if of_board else f"lock suite ({default})"
    parser.add_argument("--suite", choices=names(), default=None if of_board else default, help=text)


def add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR|FILE",
        help="run on these images instead of the data set's test images: a folder of PNG files; a folder of such folders, "
        "one for each class; .npz with `images` [n, height, width, channels] and, if known, `labels` [n]; or .npy with "
        "images only. uint8: raw pixels, float: the network's input",
    )
    add_data_dir(parser)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"must be numbers with commas between them, not {text}")
    return numbers


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Add what an exported program is quantised with: --calibration, --mean and --std."""
    group = parser.add_argument_group("exported program (.pt2)")
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|FILE",
        help="images like those that it will see: a folder of PNG files, a folder of such folders, one for each class, or "
        "an array [n, height, width, channels]: .npy, or `images` of .npz; uint8: raw pixels, float: the network's input",
    )
    group.add_argument("--mean", type=_numbers, metavar="M[,M...]", help="of all channels or of each (0)")
    group.add_argument("--std", type=_numbers, metavar="S[,S...]", help="of all channels or of each (1)")


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        dest="data_dir",
        type=Path,
        metavar="DIR",
        default=os.environ.get("DEEPLOCK_DATA") or None,
        help="folder of the data sets that are not bundled (by default, DEEPLOCK_DATA)",
    )


def add_accelerator(parser: argparse.ArgumentParser, from_loadable: bool) -> None:
    """Add --rows, --cols and so on. A size that is not given is None: the loadable's (`from_loadable`), or as the help says."""
    group = parser.add_argument_group(
        "accelerator", "by default what the loadable was compiled for" if from_loadable else None
    )
    follows = {"rows": "8", "cols": "as rows", "bytes_per_beat": "as cols, up to 16"}
    for name, meaning in SIZES.items():
        default = follows.get(name) or str(getattr(Config, name))
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=positive,
            metavar="N",
            help=meaning if from_loadable else f"{meaning} ({default})",
        )
    for name, meaning in FEATURES.items():
        option, default = f"--{name.replace('_', '-')}", getattr(Config, name) or None  # None: if it is needed
        group.add_argument(option, action=argparse.BooleanOptionalAction, default=default, help=meaning)
    if from_loadable:
        group.add_argument("--lanes", type=positive, metavar="N", help="requantise lanes (as many as rows)")
        group.add_argument("--sbox", choices=SBOX_STYLES, default=Config.sbox, help=f"inverse S-boxes ({Config.sbox})")


def accelerator_given(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the options of `add_accelerator`, for pymodel.spec.accelerator."""
    return {name: getattr(args, name) for name in (*SIZES, *FEATURES, "lanes", "sbox")}


_CHOICES = {"suite": names(), "sbox": SBOX_STYLES}


def add_config(group: argparse._ArgumentGroup, defaults: Mapping[str, str] = MappingProxyType({})) -> None:
    """Add an option for every field of Config. `defaults`: what help says of those whose default is not Config's."""
    for field in fields(Config):
        option, default = f"--{field.name.replace('_', '-')}", defaults.get(field.name, field.default)
        if field.type is bool:
            group.add_argument(
                option, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=FEATURES.get(field.name)
            )
        elif field.type is int:
            group.add_argument(option, type=int, metavar="N", default=argparse.SUPPRESS, help=f"({default})")
        elif field.name == "key_sizes":
            text = "sizes of its master keys in bytes (all of the suite's)"
            group.add_argument(option, type=int, nargs="+", metavar="N", default=argparse.SUPPRESS, help=text)
        else:
            choices = _CHOICES[field.name]
            group.add_argument(option, choices=choices, default=argparse.SUPPRESS, help=f"({default})")


def config_given(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of Config that the user gave by options of `add_config`."""
    given = {field.name: getattr(args, field.name) for field in fields(Config) if hasattr(args, field.name)}
    if "key_sizes" in given:
        given["key_sizes"] = tuple(given["key_sizes"])
    return given


def read_key_file(path: Path | None, locked_by: str, role: "Purpose" = "model") -> bytes:
    """The key for a file of this suite, b"" if that does not lock; DeeplockError if a key is missing or not needed."""
    from deeplock.pymodel.lock.keyfile import read_key
    from deeplock.pymodel.lock.keys import suite_key

    if not suite(locked_by).locks:
        if path is not None:
            raise DeeplockError("it is not locked: leave --key-file out, or lock it first")
        return b""
    if path is None:
        raise DeeplockError(f"it is locked with suite {locked_by}: give --key-file")
    return suite_key(read_key(path, role if suite(locked_by).seals else ""), locked_by, role)


def with_key(args: argparse.Namespace, loadable: "Loadable", config: Config) -> "tuple[Loadable, Config, bytes]":
    """Of --key-file and --licence: the loadable, under the licence; the accelerator, which then enforces it; and the key."""
    from deeplock.pymodel.spec.licence import read_licence

    if args.licence is None:
        key = read_key_file(args.key_file, loadable.suite)
        loadable.check_key(key)
        return loadable, config, key
    loadable = loadable.under(read_licence(args.licence))
    key = read_key_file(args.key_file, loadable.suite, "device")
    return loadable, replace(config, licences=True, permissions=True), key
