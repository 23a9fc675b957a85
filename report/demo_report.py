"""The report of `deeplock demo`: report.json, report.html with its pictures inside, PNG files, and the table."""

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.pymodel.files import replace_file, write_json
from deeplock.report.tables import percent

if TYPE_CHECKING:
    from deeplock.bench.demo import Measured

__all__ = ["FILES", "report_rows", "write_report"]

FILES = ("report.json", "report.html", "accuracy.png", "bytes.png", "cycles.png", "digits.png")
"""Files that `write_report` writes."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; } td { padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid #ddd; }
td + td { text-align: right; font-variant-numeric: tabular-nums; } img { max-width: 100%; }
"""


def report_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The table of a report.json: (name, figure)."""
    accuracy, rtl = report["accuracy"], report["rtl"]
    array = f"{rtl['rows']}x{rtl['cols']} array, B = {rtl['bytes_per_beat']}, {rtl['simulator']}"
    cycles = rtl["cycles_locked"]
    return [
        (f"accuracy, float32 ({report['images']} images)", percent(accuracy["float"])),
        ("accuracy, int8", percent(accuracy["int8"])),
        ("accuracy, locked, right key", percent(accuracy["unlocked"])),
        (f"accuracy, locked, mean of {accuracy['wrong_keys']} wrong keys", percent(accuracy["wrong_key_mean"])),
        (f"images through the RTL ({array})", str(rtl["images"])),
        ("ofmap bytes that differ from golden model or reference", str(rtl["mismatches"])),
        ("cycles per image, plain", f"{rtl['cycles_plain']:.1f}"),
        ("cycles per image, locked", f"{cycles:.1f}"),
        ("cycles per image that the lock costs", f"{cycles - rtl['cycles_plain']:.1f}"),
        ("of them waiting for the key stream", f"{rtl['key_starved_cycles']:.1f}"),
        ("cycles per image waiting for parameters", f"{rtl['param_starved_cycles']:.1f}"),
        ("least cycles per image (lower bound)", f"{rtl['lower_bound']} ({cycles / rtl['lower_bound']:.2f} x)"),
    ]


def write_report(folder: Path, measured: "Measured") -> None:
    """Write report.json, report.html and the PNGs."""
    from deeplock.report.demo_figures import draw

    pictures = draw(measured)
    for name, (_, png) in pictures.items():
        replace_file(folder / f"{name}.png", png)
    write_json(folder / "report.json", measured.report)
    replace_file(folder / "report.html", _page(measured.report, pictures).encode())


def _page(report: dict[str, Any], pictures: dict[str, tuple[str, bytes]]) -> str:
    rows = "".join(f"<tr><td>{escape(what)}</td><td>{escape(figure)}</td></tr>" for what, figure in report_rows(report))
    figures = ""
    for title, png in pictures.values():
        data = base64.b64encode(png).decode()
        figures += f'<h2>{escape(title)}</h2><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>deeplock demo</title><style>{_STYLE}</style>'
        f"<h1>A locked network on the accelerator</h1><p>Network <b>{escape(report['network'])}</b>, locked with a "
        f"random 128-bit key. Every figure was measured in one run of <code>deeplock demo</code>.</p>"
        f"<table>{rows}</table>{figures}"
    )
