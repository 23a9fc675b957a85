"""Take the figures of a `deeplock demo` into docs/results and README.md: python docs/results.py [build/demo]"""

import json
import sys
from pathlib import Path

from cli.demo_report import report_rows

DOCS = Path(__file__).resolve().parent
BEGIN, END = "<!-- demo: written by make results -->\n", "<!-- /demo -->"


def table(report: dict) -> str:
    """A report.json as a Markdown table."""
    return "| | |\n|---|--:|\n" + "".join(f"| {what} | {figure} |\n" for what, figure in report_rows(report))


def put_table(text: str, report: dict) -> str:
    """README.md with the table of this report between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(report) + END + after


if __name__ == "__main__":
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
    results = DOCS / "results"
    results.mkdir(exist_ok=True)
    text = (demo / "report.json").read_text()
    (results / "demo.json").write_text(text)
    for name in ("accuracy", "cycles", "digits", "bytes"):
        (results / f"demo-{name}.png").write_bytes((demo / f"{name}.png").read_bytes())
    readme = DOCS.parent / "README.md"
    readme.write_text(put_table(readme.read_text(), json.loads(text)))
