"""Checks of output paths, and atomic writes: a reader sees the old content or the new, never half of it."""

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.scratch import scratch

__all__ = ["ANYONE", "check_output", "check_outputs", "make_folder_of", "replace_file", "rights_of", "write_json"]

ANYONE = 0o777
"""Rights without a limit."""

_KEY = re.compile(rb"[0-9a-fA-F]{32,128}\r?\n?")


def _holds_a_key(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like a key file of any size: one line of hex digits, whatever its name."""
    with open(path, "rb") as file:
        return bool(_KEY.fullmatch(file.read(131)))


def rights_of(path: str | os.PathLike[str]) -> int:
    """The permission bits of a file, links followed."""
    return stat.S_IMODE(os.stat(path).st_mode) & ANYONE


def _target(path: str | os.PathLike[str]) -> Path:
    """Where `path` leads if it is a link."""
    return Path(os.path.realpath(path))


def check_output(path: str | os.PathLike[str]) -> None:
    """Raise DeeplockError if `path`, links followed, cannot be written, is no regular file, is read-only or is a key file.

    Missing folders are no fault if they can be made: `make_folder_of`.
    """
    try:
        try:
            found = os.stat(path)
        except FileNotFoundError:
            pass
        else:
            if not stat.S_ISREG(found.st_mode):
                raise DeeplockError(f"{path}: is not a regular file: give the name of a file")
            if _holds_a_key(path):
                raise DeeplockError(f"key file {path}: exists already, and is kept")
            if not (found.st_mode & 0o222 and os.access(path, os.W_OK)):  # root may write whatever the mode is
                raise DeeplockError(f"{path}: is read-only: make it writable, or give another file")
        folder = next(folder for folder in _target(path).parents if folder.exists())
        tempfile.TemporaryFile(dir=folder).close()
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


def replace_file(path: str | os.PathLike[str], content: bytes | Path, at_most: int = ANYONE) -> None:
    """Write a file atomically: its old content stays until the new is complete. A link is followed, and the mode stays.

    content  a Path is a file that is moved there
    at_most  rights that the file has at most: what is as secret as another file gets `rights_of` that

    Raises DeeplockError if the path fails `check_output` or the file cannot be written.
    """
    check_output(path)
    target = _target(path)
    try:
        with scratch(target.parent) as folder:
            new = folder / "new"
            if isinstance(content, Path):
                shutil.move(content, new)
            else:
                new.write_bytes(content)
            rights = rights_of(target) if target.exists() else rights_of(new)
            new.chmod(rights & at_most)
            os.replace(new, target)
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None


def make_folder_of(path: Path) -> Path:
    """Make the folder that `path`, links followed, lies in if needed, and return `path`; DeeplockError if that fails."""
    try:
        _target(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    return path


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON with `replace_file`, or do nothing if `path` is None."""
    if path is not None:
        replace_file(make_folder_of(path), (json.dumps(figures, indent=2) + "\n").encode())
