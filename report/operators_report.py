"""Tables of docs/bring-your-own-network.md: what the front ends take, and how the accelerator runs a network's operators."""

from collections.abc import Mapping

from deeplock.pymodel.frontends.limits import ONNX, PYTORCH, TFLITE
from deeplock.pymodel.network import operators
from deeplock.report.tables import Table, markdown

__all__ = ["operator_sections"]


def operator_sections() -> dict[str, str]:
    """Markdown of each table, by the name of its marks."""
    tables = {"pytorch": _limits(PYTORCH), "tflite": _limits(TFLITE), "onnx": _limits(ONNX), "operators": _mappings()}
    return {name: markdown(table, 2) for name, table in tables.items()}


def _limits(found: Mapping[tuple[str, ...], str]) -> Table:
    rows = [[", ".join(f"`{name}`" for name in names), limits] for names, limits in found.items()]
    return Table(["operator", "limits"], rows)


def _mappings() -> Table:
    return Table(
        ["operator", "how it runs"], [[f"`{name}`", operators.operator(name).mapping] for name in operators.names()]
    )
