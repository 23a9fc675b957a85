"""Shows the progress of long work on stderr: a bar with the time left on a terminal, elsewhere at most a line a second."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deeplock.pymodel.progress import Progress

__all__ = ["progress_shown"]

_COLUMNS = 80
"""Columns of a line if there is no terminal."""

_SECONDS = 1.0


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Give a callback that shows progress. Afterwards, even after an error, the terminal is as it was before."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column
    from rich.text import Text

    terminal = sys.stderr.isatty()
    what = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    left = TimeRemainingColumn()
    bar = Bar(
        *(what, BarColumn(20), TaskProgressColumn(), left),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        redirect_stdout=False,  # else what is printed meanwhile would go to stderr
        speed_estimate_period=float("inf"),  # some steps take minutes
        disable=not terminal,
    )
    last, lock = float("-inf"), threading.Lock()

    def tell(text: str, done: float = 0, total: float = 0, /) -> None:
        nonlocal last
        with lock:
            task = bar.tasks[-1] if bar.tasks else None
            if task is None or task.total != (total or None) or done < task.completed:
                if task is not None:
                    bar.remove_task(task.id)
                bar.add_task(text, total=total or None, completed=done)  # pyright: ignore - any number will do
            else:
                bar.update(task.id, description=text, completed=done)
            if not terminal and time.monotonic() - last >= _SECONDS:
                last = time.monotonic()
                task = bar.tasks[-1]
                end = f": {task.percentage:.0f} %, {left.render(task)} left" if total else ""
                line = Text(text)
                line.truncate(_COLUMNS - len(end), overflow="ellipsis")
                print(f"{line}{end}", file=sys.stderr, flush=True)

    with bar:
        yield tell
