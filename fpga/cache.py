"""Keeps files that take long to make, each in a folder that is named by what it was made from."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["cache_folder", "digest", "made"]

_ROOT = Path(__file__).resolve().parents[1]


def digest(*facts: str) -> str:
    """A name for these facts: 16 hexadecimal digits of a hash."""
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def cache_folder(*facts: str) -> Path:
    """The folder for what is made from these facts, under DEEPLOCK_BUILD or build/ in the repository. It exists."""
    folder = Path(os.environ.get("DEEPLOCK_BUILD") or _ROOT / "build").resolve() / "synth" / digest(*facts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made(path: Path, make: Callable[[Path], None]) -> Path:
    """`path`, after `make(other path in its folder)` if it does not exist yet; whoever wants it too waits meanwhile."""
    if not path.exists():
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system ends it even if this process dies
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                unfinished.unlink(missing_ok=True)
                make(unfinished)
                unfinished.replace(path)
    return path
