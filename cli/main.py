"""The command `deeplock`: finds the subcommand, runs it, and turns a fault in the input into one line.

A subcommand is a file of cli/commands whose docstring is its help. It imports slow packages (NumPy, PyTorch, cocotb, ...)
inside `run`, so that `deeplock --help` answers at once.
"""

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

from deeplock import __version__
from deeplock.cli.descendants import descendants_ended
from deeplock.cli.options import check_paths
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.scratch import remove_abandoned

__all__ = ["main"]

COMMANDS = (
    "demo",
    "keygen",
    "data",
    "train",
    "quantise",
    "evaluate",
    "compile",
    "lock",
    "unlock",
    "seal",
    "licence",
    "predict",
    "simulate",
    "bench",
    "attack",
    "fuzz",
    "verilog",
    "synth",
    "program",
    "run",
    "info",
)

_DESCRIPTION = """\
Locks trained networks with a master key (Deep-Lock, arXiv 2008.05966) and runs them, locked, on an int8 systolic
accelerator that unlocks the weights on their way into the array."""

_EPILOG = """\
the usual way:
  deeplock keygen -o my.key
  deeplock train digits -o build/digits
  deeplock compile build/digits.int8.safetensors --key-file my.key -o build/digits.loadable
  deeplock simulate build/digits.loadable --key-file my.key --count 5

exit codes: 0 done, 1 fault of the input (one line on stderr), 2 wrong usage"""


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}: see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser("deeplock", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"deeplock {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"deeplock.cli.commands.{name}")
        description, _, epilog = (module.__doc__ or "").partition("\nexamples:")
        summary = description.split(".\n")[0].split(": ")[0].strip().rstrip(".")
        command = subparsers.add_parser(
            name,
            help=summary[0].lower() + summary[1:],
            description=description,
            epilog=f"examples:{epilog}",
            formatter_class=raw,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


@contextmanager
def _ended_by_signals(end_descendants: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the command with all clean-up, which need not wait for the programs that it runs."""

    def end(number: int, _: object) -> None:
        end_descendants()
        sys.exit(128 + number)

    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_standard_streams() -> None:
    """Let what was closed, as by `>&-`, lead nowhere: else the next file that is opened would take its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path's letters may be none of the locale's


def _given(arguments: Sequence[str] | None) -> dict[str, str]:
    """The options that the user gave, by the names of their values; also those whose value is the default."""
    parser = _parser()
    parsers = [parser]
    for each in parsers:
        each._defaults = {}
        for action in each._actions:
            action.default = argparse.SUPPRESS
            if not action.option_strings:
                action.type = None  # it would be applied to SUPPRESS
            parsers += action.choices.values() if isinstance(action, argparse._SubParsersAction) else ()
    names = {
        action.dest: action.option_strings[0] for each in parsers for action in each._actions if action.option_strings
    }
    return {name: names.get(name, name.upper()) for name in vars(parser.parse_args(arguments))}


def _carry_out(arguments: Sequence[str] | None) -> None:
    try:
        parsed = _parser().parse_args(arguments)
        parsed.given = _given(arguments)
        for name in ("torchao", "torch.utils._pytree"):  # what they log on import does not concern users
            logging.getLogger(name).setLevel(logging.ERROR)
        remove_abandoned()
        check_paths(parsed)
        with descendants_ended() as end_descendants, _ended_by_signals(end_descendants):
            parsed.run(parsed)
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # nothing more: Python would flush again at its end, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `deeplock` with these arguments, by default the process's; return the exit code."""
    _open_standard_streams()
    try:
        _carry_out(arguments)
    except DeeplockError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        return 1
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _fail(text: str) -> int:
    print(f"deeplock: {' '.join(text.split())}", file=sys.stderr)
    return 1
