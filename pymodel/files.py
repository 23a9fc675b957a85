"""What may be written where, and writing so that a reader sees the old content or the new, never half of it."""

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deeplock.pymodel.errors import DeeplockError

__all__ = ["check_output", "check_outputs", "make_folder_of", "replace_file", "write_json"]


_KEY = re.compile(rb"[0-9a-fA-F]{32,128}\r?\n?")


def _holds_a_key(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one line of hex digits, as a key file of any size is, whatever its name."""
    with open(path, "rb") as file:
        return bool(_KEY.fullmatch(file.read(131)))


def check_output(path: str | os.PathLike[str]) -> None:
    """DeeplockError unless nothing is at `path`, links followed, or a regular file that is no key file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DeeplockError(f"{path}: is not a regular file: give the name of a file")
        if _holds_a_key(path):
            raise DeeplockError(f"key file {path}: exists already, and is kept")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | str:
    """What all names of a file have in common, through links too."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """DeeplockError unless a command that reads `inputs` may write all `outputs`: check_output, and each a file of its own."""
    taken = {_identity(path): "is an input of this command too" for path in inputs}
    for stream in ("stdout", "stderr"):  # redirected into a file, which is regular
        taken[_identity(f"/dev/{stream}")] = f"is where {stream} goes"
    for path in outputs:
        check_output(path)
        if (identity := _identity(path)) in taken:
            raise DeeplockError(f"{path}: {taken[identity]}: give another file")
        taken[identity] = "is another output of this command too"


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file; what it held before stays until the new content is complete. A link is followed.

    DeeplockError where `check_output` raises it, or the file cannot be written.
    """
    check_output(path)
    target = Path(os.path.realpath(path))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            temporary = Path(folder, target.name)
            temporary.write_bytes(content)
            os.replace(temporary, target)
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None


def make_folder_of(path: Path) -> Path:
    """Make the folder that `path` lies in, if there is none; gives `path`. DeeplockError where nothing can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    return path


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures for programs to read, as `replace_file` does. No path: do nothing."""
    if path is not None:
        replace_file(make_folder_of(path), (json.dumps(figures, indent=2) + "\n").encode())
