"""Tables of assurance.json, for docs/assurance.md and for the terminal."""

from typing import Any

from deeplock.report.tables import Table, markdown

__all__ = ["fuzz_section", "fuzz_table", "proofs_section"]


def proofs_section(result: dict[str, Any]) -> str:
    """A line for each proof, and where they were made."""
    rows = [list(proof.values()) for proof in result["proofs"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    table = markdown(Table(["property", "design", "engine", "outcome", "seconds"], rows), 4)
    return f"{table}\nBy `{result['command']}` with {versions} on {result['machine']}.\n"


def fuzz_table(found: dict[str, Any]) -> Table:
    """What `deeplock fuzz` found."""
    names = {
        "rounds": "rounds",
        "compared_bytes": "of which bytes were compared",
        "disagreements": "disagreements",
        "hangs": "hangs",
        "outputs_after_error": "beats that left after a refusal or an end",
    }
    rows = [[text, f"{found[name]:,}"] for name, text in names.items()]
    rows += [[f"ended with {name}", f"{count:,}"] for name, count in found["errors"].items()]
    return Table(["", "rounds"], rows)


def fuzz_section(found: dict[str, Any]) -> str:
    """The table, and where it was made."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    made = f"By `{found['command']}`, seed {found['seed']}, with {versions} on {found['machine']}."
    return f"{markdown(fuzz_table(found), 1)}\n{made}\n"
