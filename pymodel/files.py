"""Checks of output paths, and atomic writes: a reader sees the old content or the new, never half of it."""

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
    """Whether a file looks like a key file of any size: one line of hex digits, whatever its name."""
    with open(path, "rb") as file:
        return bool(_KEY.fullmatch(file.read(131)))


def check_output(path: str | os.PathLike[str]) -> None:
    """Raise DeeplockError if `path`, links followed, exists and is not a regular file, or is a key file."""
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
    """Identity of a file: the same for all its names and links."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise DeeplockError if an output fails `check_output`, or is the same file as an input or as another output."""
    taken = {_identity(path): "is an input of this command too" for path in inputs}
    for stream in ("stdout", "stderr"):  # may be redirected into a regular file
        taken[_identity(f"/dev/{stream}")] = f"is where {stream} goes"
    for path in outputs:
        check_output(path)
        if (identity := _identity(path)) in taken:
            raise DeeplockError(f"{path}: {taken[identity]}: give another file")
        taken[identity] = "is another output of this command too"


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically: its old content stays until the new is complete. A link is followed.

    Raises DeeplockError if the path fails `check_output` or the file cannot be written.
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
    """Make the parent folder of `path` if needed and return `path`; DeeplockError if nothing can be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    return path


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON with `replace_file`, or do nothing if `path` is None."""
    if path is not None:
        replace_file(make_folder_of(path), (json.dumps(figures, indent=2) + "\n").encode())
