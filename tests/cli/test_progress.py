"""Progress on a terminal and elsewhere, in processes of its own."""

import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

from tests.cli.test_main import ROOT

STEPS = """
import time
from deeplock.cli.progress import progress_shown
with progress_shown() as progress:
    progress("getting ready")
    for step in range(15):
        progress("a text of many words with [brackets] " * 5, step, 15)
        time.sleep({pause})
    print("a result")
    {end}
"""


INTERRUPT = """import os, signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
"""


def on_a_terminal(end: str, columns: int) -> tuple[int, str, str]:
    """Exit code, what the terminal got, and stdout."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", STEPS.format(end=end, pause=0.04)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                told += os.read(ours, 1 << 16)
            except OSError:  # nobody has the other end open
                break
        out, _ = process.communicate()
    os.close(ours)
    return process.returncode, told.decode(), out


def lines_of(told: str) -> list[str]:
    """What was written over and over in one line of the terminal, without colours."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", told))


@pytest.mark.parametrize("columns", [80, 50])
def test_a_terminal_gets_a_bar_with_the_time_left_and_is_clean_afterwards(columns):
    code, told, out = on_a_terminal("", columns)
    assert (code, out) == (0, "a result\n")
    lines = lines_of(told)
    assert any(re.search(r"━+ +\d+% 0:00:0\d$", line) for line in lines)
    assert max(map(len, lines)) <= columns
    assert told.rindex("\x1b[?25h") > told.rindex("\x1b[?25l"), "the cursor is shown again"
    assert told.endswith("\x1b[2K"), "the bar is gone"


def test_ctrl_c_leaves_the_cursor_shown():
    code, told, _ = on_a_terminal(INTERRUPT, 80)
    assert code == -signal.SIGINT
    assert told.rindex("\x1b[?25h") > told.rindex("\x1b[?25l")


def test_elsewhere_there_are_plain_lines_at_most_one_a_second():
    command = [sys.executable, "-c", STEPS.format(end="", pause=0.1)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "a result\n"
    first, *more = done.stderr.splitlines()
    assert first == "getting ready"
    assert len(more) == 1, "of 1.5 seconds"
    assert re.fullmatch(r"a text of many words with \[brackets\] .*…: \d+ %, 0:00:0\d left", more[0])
    assert len(more[0]) <= 80
