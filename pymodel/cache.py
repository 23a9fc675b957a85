"""Cache of builds, netlists and placements, under names that identify what they were made of."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["cache_root", "digest", "made"]


def cache_root() -> Path:
    """The cache's folder: DEEPLOCK_BUILD, or else `deeplock` in the user's cache folder."""
    return Path(os.environ.get("DEEPLOCK_BUILD") or user_cache_path("deeplock")).resolve()


def digest(*facts: object, files: Iterable[Path] = ()) -> str:
    """16 hexadecimal digits of a hash of the facts, as `str` writes them, and of the names and contents of the files."""
    found = hashlib.sha256("\0".join(map(str, facts)).encode())
    for path in files:
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def made(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`, a file or a folder, after `make` has made it if it does not exist yet.

    `make` is given another name in the same folder, so that `path` is whole or absent. Processes that want the same path
    at the same time wait for the one that makes it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it even if this process dies
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                if unfinished.is_dir():
                    shutil.rmtree(unfinished)
                unfinished.unlink(missing_ok=True)
                make(unfinished)
                unfinished.replace(path)
    return path
