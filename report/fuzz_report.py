"""Table of the fuzzed rounds, for the terminal and for docs/assurance.md."""

from typing import Any

from deeplock.report.tables import Table, markdown

__all__ = ["fuzz_section", "fuzz_table"]


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
