"""Printing of figures in columns as wide as their contents, text aligned left and numbers aligned right."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplock.pymodel.frontends.agreement import Agreement
    from deeplock.pymodel.frontends.engine import EngineAgreement
    from deeplock.pymodel.spec.loadable import Loadable
    from deeplock.report.tables import Table

__all__ = ["print_agreement", "print_pairs", "print_table", "warn_of_known_bytes"]


def warn_of_known_bytes(loadable: "Loadable") -> None:
    """Warn if the loadable's lock gives its key away to whoever has the file."""
    from deeplock.pymodel.lock.suites import suite

    if "tables" in loadable.features and suite(loadable.suite).locks and not suite(loadable.suite).seals:
        print(
            f"warning: the network has tables, whose bytes can be guessed: with suite {loadable.suite} the file gives its key "
            "away (docs/security.md); take a suite that seals",
            file=sys.stderr,
        )


def print_agreement(found: "Agreement | EngineAgreement") -> None:
    """Print how well an int8 network agrees with the float network, or with the engine of the int8 file, that it came from."""
    from deeplock.pymodel.frontends.engine import EngineAgreement

    if isinstance(found, EngineAgreement):
        _print_engine_agreement(found)
    else:
        _print_float_agreement(found)


def _print_float_agreement(found: "Agreement") -> None:
    from deeplock.report.tables import percent

    layer, most = max(found.layer_lsb.items(), key=lambda item: item[1])
    print(f"prepared graph against the program, in float: {found.graph_error:.1e} of the largest output")
    print(f"layers against PyTorch's quantised graph: at most {most} LSB" + f", in {layer}" * (most > 0))
    print(f"int8 against float: {found.output_lsb:.2f} LSB of the output on average, ", end="")
    print(f"the same largest class in {percent(found.agreement)}")
    for first in found.outliers[:1]:  # later tensors follow from it
        print(f"warning: {first}", file=sys.stderr)


def _print_engine_agreement(found: "EngineAgreement") -> None:
    from deeplock.report.tables import Table, percent

    for note in found.notes:
        print(f"note: {note}")
    if found.agreement is None:
        return
    rows = [[name, f"{100 * share:.3f} %", found.layer_lsb[name]] for name, share in found.layer_share.items() if share]
    total = len(found.layer_share)
    print(f"layers against {found.engine}, on {found.inputs} random ifmaps: {total - len(rows)} of {total} the same")
    if rows:
        print_table(Table(["layer", "bytes that differ", "LSB at most"], rows))
    print(f"from end to end: the same largest class in {percent(found.agreement)}")


def print_pairs(*pairs: tuple[str, object]) -> None:
    """Print a line for each figure: what it is, and the figure."""
    numbers = [len(str(figure)) for _, figure in pairs if isinstance(figure, int | float)]  # texts may be long
    _print(pairs, [max(len(name) for name, _ in pairs), max(numbers, default=0)])


def print_table(table: "Table") -> None:
    """Print the head, a line under it, and the rows."""
    head, rows = table
    widths = [max(len(str(cell)) for cell in column) for column in zip(head, *rows, strict=True)]
    numbers = [isinstance(cell, int | float) for cell in rows[0]] if rows else [False] * len(head)
    heads = zip(head, widths, numbers, strict=True)
    print("  ".join(text.rjust(width) if number else text.ljust(width) for text, width, number in heads).rstrip())
    _print([["-" * width for width in widths], *rows], widths)


def _print(rows: Sequence[Sequence[object]], widths: Sequence[int]) -> None:
    for row in rows:
        cells = zip(row, widths, strict=True)
        texts = (
            str(cell).rjust(width) if isinstance(cell, int | float) else str(cell).ljust(width) for cell, width in cells
        )
        print("  ".join(texts).rstrip())
