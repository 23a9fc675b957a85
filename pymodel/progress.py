"""Progress of long work: the one callback that every function takes. How it is displayed is the caller's choice."""

from typing import Protocol

__all__ = ["Progress", "quiet", "within"]


class Progress(Protocol):
    """Callback for progress; it may be called from any thread.

    text   what is being done, a few words
    done, total   how much of it is done, in the caller's unit; total is 0 if unknown. If total changes or done falls,
           new work has begun
    """

    def __call__(self, text: str, done: float = 0, total: float = 0, /) -> None: ...


def quiet(text: str, done: float = 0, total: float = 0, /) -> None:
    """Ignore all progress."""


def within(progress: Progress, name: str) -> Progress:
    """Progress for a part of the work: each text is preceded by the part's name."""
    return lambda text, done=0, total=0: progress(f"{name}: {text}", done, total)
