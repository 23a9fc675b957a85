"""Download the standard data sets, or check those in a folder.

mnist, fashion-mnist and cifar10 lie in folders of their names under DIR, as the standard files: IDX, plain or gzip, and
binary batches. `verify` checks magic numbers, counts, lengths, labels and, if it is known, the standard file's SHA-256.
`fetch` downloads missing files, resumes interrupted downloads, checks their SHA-256 and then verifies. digits is bundled.
gtsrb is not downloaded: pymodel/zoo/gtsrb.py says how its folder looks.

examples:
  deeplock data fetch mnist --data data
  DEEPLOCK_DATA=data deeplock data verify cifar10

JSON: {"dataset", "folder", "files": [{"file", "checked"}]}
"""

import argparse
from pathlib import Path

from deeplock.cli.options import add_data_dir, add_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fetch", "verify"), help="download, or check the files in DIR")
    parser.add_argument("name", metavar="NAME", help="mnist, fashion-mnist or cifar10")
    add_data_dir(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from deeplock.cli.output import print_table
    from deeplock.cli.progress import progress_shown
    from deeplock.pymodel.errors import DeeplockError
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.zoo.datasets import DOWNLOADED
    from deeplock.pymodel.zoo.fetch import fetch, verify
    from deeplock.report.tables import Table

    if args.name not in DOWNLOADED:
        raise DeeplockError(f"no data set to download is named {args.name!r}: must be one of {', '.join(DOWNLOADED)}")
    if args.data_dir is None:
        raise DeeplockError("give --data DIR or set DEEPLOCK_DATA: the folder that data sets lie in")
    with progress_shown() as progress:
        if args.action == "fetch":
            fetch(args.name, args.data_dir, progress)
        progress(f"checking {args.name}")
        checked = verify(args.name, args.data_dir)
    print_table(Table(["file", "checked"], checked))
    write_json(
        args.json,
        {
            "dataset": args.name,
            "folder": str(Path(args.data_dir, args.name)),
            "files": [{"file": str(path), "checked": what} for path, what in checked],
        },
    )
