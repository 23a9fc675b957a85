"""How long work says how far it is: the one callback that everything takes. Who shows it, and how, is not its concern."""

from typing import Protocol

__all__ = ["Progress", "quiet", "within"]


class Progress(Protocol):
    """Told what goes on, from any thread.

    text   what is being done, a few words
    done, total   how much of it is done, in a unit of the caller's; total 0: nobody knows. Work with another total, or
           of which less is done than a moment ago, has begun anew
    """

    def __call__(self, text: str, done: float = 0, total: float = 0, /) -> None: ...


def quiet(text: str, done: float = 0, total: float = 0, /) -> None:
    """Tells nobody."""


def within(progress: Progress, name: str) -> Progress:
    """The progress of a part: its texts come after the part's name."""
    return lambda text, done=0, total=0: progress(f"{name}: {text}", done, total)
