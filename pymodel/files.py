"""What may be written where, and writing so that a reader sees the old content or the new, never half of it."""

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import is_key_file

__all__ = ["check_output", "check_outputs", "replace_file"]


def check_output(path: str | os.PathLike[str]) -> None:
    """DeeplockError unless nothing is at `path`, links followed, or a regular file that is no key file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DeeplockError(f"{path}: is not a regular file: give the name of a file")
        if is_key_file(path):
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
