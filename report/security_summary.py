"""What attackers get, in a few lines, from security.json: README.md's table, and a sentence of docs/security.md."""

from collections.abc import Callable
from typing import Any

from deeplock.bench.attacks import on_device
from deeplock.report.tables import Table, markdown, percent

__all__ = ["recovery_text", "security_summary"]

Rows = list[dict[str, Any]]

_PAPER = "deep-lock"
_WHOLE = 256
"""Of a strand's states, the 256ths that a ciphertext-only search tries when nothing is given."""


def _range(values: list[float], text: Callable[[float], str]) -> str:
    least, most = text(min(values)), text(max(values))
    return least if least == most else f"{least} to {most}"


def _alone(rows: Rows) -> tuple[int, str] | None:
    """Locked bytes that a ciphertext-only search of all states takes, and its seconds a key; None if it was not run."""
    found = [row for row in rows if row["attack"] == "ciphertext-only" and row["budget"]["first"] == _WHOLE]
    seconds = [row["value"] for row in found if row["metric"] == "core seconds a key"]
    if not seconds:
        return None
    assert all(row["value"] == 1 for row in found if row["metric"] == "share of keys recovered")
    return max(row["budget"]["bytes"] for row in found), _range(seconds, lambda value: f"{value:.0f}")


def recovery_text(rows: Rows) -> str:
    """How the key is found from locked weights alone."""
    if (found := _alone(rows)) is None:
        return ""
    count, seconds = found
    return (
        f"- {count:,} bytes of locked int8 weights, without any plain byte, and a model of weights from other networks\n"
        f"  give it in {seconds} seconds of a core with AVX-512 VBMI, because trained weights are not uniform (AES-128; one\n"
        "  key tried for each network).\n"
    )


def _wrong_keys(rows: Rows) -> list[str]:
    wanted = {"attack": "wrong-key", "scheme": _PAPER, "metric": "accuracy, random keys, mean"}
    found = [row["value"] for row in rows if wanted.items() <= row.items()]
    return ["random keys and a locked file", f"guesses: right for {_range(found, percent)}"]


def _at_once(rows: Rows, attack: str, who: str) -> list[str]:
    found = [row for row in rows if row["attack"] == attack]
    keys = sum(row["budget"]["keys"] for row in found)
    right = sum(row["value"] * row["budget"]["keys"] for row in found)
    return [who, f"the key, at once ({right:.0f} of {keys})", "-"]


def _on_device(rows: Rows, attack: str, who: str, metrics: dict[str, str]) -> list[str]:
    """A line of an attack on today's devices: what it gets of `deep-lock`, and of the suites that seal."""
    found = [row for row in rows if row["attack"] == attack and "rtl" not in row and row["metric"] in metrics]
    paper, sealed = ([row for row in found if (row["scheme"] == _PAPER) == is_paper] for is_paper in (True, False))
    got = " and ".join(
        words for metric, words in metrics.items() if any(r["value"] for r in paper if r["metric"] == metric)
    )
    runs = [row["inferences"] for row in paper if row["inferences"] is not None]
    text = got + (f", in {_range(runs, lambda value: f'{value:g}')} inferences" if runs else "")
    return [who, text or "-", "nothing" if not any(row["value"] for row in sealed) else "something"]


def security_summary(result: dict[str, Any]) -> str:
    """A line for each attack that says most. The attacks of docs/results/security.json must be there."""
    devices = [row for row in result["rows"] if on_device(row)]
    rows = [row for row in result["rows"] if not on_device(row)]
    alone = _alone(rows)
    assert alone is not None
    whole = {"weights recovered": "all weights", "key recovered": "the key"}
    tried = [row for row in devices if row["attack"] == "tampering" and row["metric"] == "output beats"]
    bits = sum(row["inferences"] for row in tried)
    left = sum(row["value"] for row in tried)
    refused = "each refused" if not left else f"{left:g} beats left"
    lines = [
        [*_wrong_keys(rows), "refused"],
        _at_once(rows, "known-plaintext", "the same, and 16 to 32 plain bytes in a row"),
        _at_once(rows, "flat-table", "a loadable whose network has a sigmoid"),
        [f"{alone[0]:,} locked bytes and other networks' weights", f"the key, in {alone[1]} s of a core", "-"],
        _on_device(devices, "chosen-program", "a device with the key inside, a program of one's own", whole),
        _on_device(devices, "malleability", "the same, changed parameters", whole),
        _on_device(devices, "replay", "the same, parameters of an old version", {"output beats": "answers"}),
        ["a bit changed anywhere", "most run", f"{refused} ({bits:,} tried)"],
    ]
    return markdown(Table(["who has", "gets, of `deep-lock`", "of `acorn`, `ascon`, `tinyjambu`"], lines), 3)
