"""Table of assurance.json, for docs/assurance.md."""

from typing import Any

from deeplock.report.tables import Table, markdown

__all__ = ["proofs_section"]


def proofs_section(result: dict[str, Any]) -> str:
    """A line for each proof, and where they were made."""
    rows = [list(proof.values()) for proof in result["proofs"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    table = markdown(Table(["property", "design", "engine", "outcome", "seconds"], rows), 4)
    return f"{table}\nBy `{result['command']}` with {versions} on {result['machine']}.\n"
