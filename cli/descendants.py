"""Ends the programs that a command began, and those that they began, when the command ends: simulators, compilers, ...

A process that is killed cannot clean up, so another one watches it. It knows the descendants by a variable of their
environment, which Linux shows in /proc. Run as a program, this file is the watching process.

Compilers that are ended so leave temporary files. They lie in a folder of the command's, which goes with it.
"""

import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["descendants_ended"]

_VARIABLE = "DEEPLOCK_COMMAND"
_PROC = Path("/proc")
_SECONDS = 0.05


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def descendants_ended() -> Iterator[Callable[[], None]]:
    """When the body ends, even if this process is killed, so do all programs that it began. Without /proc they run on.

    Gives a function that ends them from now on, so that whoever waits for them, or would begin more, does not wait long.
    """
    from deeplock.pymodel.scratch import scratch  # here, because the watching process finds no packages

    with scratch() as folder, _environment("TMPDIR", str(folder)):
        if (_PROC / "self" / "environ").exists():
            with _watched() as end_them:
                yield end_them
        else:
            yield lambda: None


@contextmanager
def _watched() -> Iterator[Callable[[], None]]:
    mark = secrets.token_hex(8)
    command = [sys.executable, "-I", "-S", __file__, f"{_VARIABLE}={mark}"]
    null = subprocess.DEVNULL
    # a session of its own, so that Ctrl-C on the terminal does not reach it
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True) as watcher:
        assert watcher.stdin
        pipe = watcher.stdin.fileno()

        def end_them() -> None:
            with suppress(OSError):
                os.write(pipe, b"\0")

        with _environment(_VARIABLE, mark):
            yield end_them


def _kill_marked(mark: bytes) -> bool:
    """Kill every process with this in its environment; whether there was one.

    Python's resource tracker is left: it ends with its parent, and removes what that has left.
    """
    found = False
    for path in _PROC.glob("[0-9]*/environ"):
        with suppress(OSError):  # another user's, or it has ended
            if (
                mark in path.read_bytes().split(b"\0")
                and b"resource_tracker" not in path.with_name("cmdline").read_bytes()
            ):
                os.kill(int(path.parent.name), signal.SIGKILL)
                found = True
    return found


def _watch(mark: bytes) -> None:
    """Wait for a byte on stdin, or for its end, then kill until stdin has ended and nothing is left."""
    ended = not os.read(0, 1)
    while _kill_marked(mark) or not ended:
        if not ended and select.select([0], [], [], _SECONDS)[0]:
            ended = not os.read(0, 1)


if __name__ == "__main__":
    _watch(sys.argv[1].encode())
