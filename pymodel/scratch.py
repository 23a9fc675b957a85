"""Temporary folders. One that a killed process left behind is removed when the next one makes a folder beside it, or starts."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["remove_abandoned", "scratch"]

_PREFIX = ".deeplock-"
_OWNER = ".owner"
"""A file in each folder. Its process holds a lock on it, which the system releases even if the process is killed."""


def remove_abandoned(parent: str | os.PathLike[str] | None = None) -> None:
    """Remove this user's folders of `scratch` in `parent`, by default the system's temporary folder, that no process holds."""
    for owner in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        with suppress(OSError):  # held, another user's, or removed by somebody else at the same time
            if os.lstat(owner.parent).st_uid == os.geteuid():
                with open(owner, "rb+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(owner.parent)


@contextmanager
def scratch(parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """A new folder in `parent`, by default the system's temporary folder, for this user only; removed afterwards."""
    remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as name:
        new = Path(name, f"{_OWNER}.new")
        with new.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            new.rename(new.with_name(_OWNER))  # locked before anyone takes it for abandoned
            yield Path(name)
