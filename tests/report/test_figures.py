"""Geometry of all figures: no line crosses a label, and bars begin at 0."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.path import Path

from deeplock.report import (
    accuracy_report,
    attack_report,
    cycles_report,
    demo_figures,
    memory_report,
    mlperf_report,
    profile,
    software_area,
    software_report,
    synth_report,
)
from tests.cli.test_main import ROOT
from tests.report.test_profile import LAYERS


def result(name: str) -> dict:
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


def demo() -> SimpleNamespace:
    """As bench.demo.Measured, with a cycle of each cause."""
    run = SimpleNamespace(per_image=lambda counter: 1 + 940 * (counter == "COMPUTE"), cycles_per_image=949.0)
    labels, noise = np.arange(10), np.arange(256, dtype=np.uint8)
    pictures = {"images": np.zeros((10, 8, 8, 1), np.uint8), "labels": labels, "answers": (labels, labels[::-1])}
    measured = {"report": result("demo"), "wrong": [0.1] * 20, "plain": run, "locked": run}
    return SimpleNamespace(**measured, **pictures, plain_bytes=noise, locked_bytes=noise)


DRAWN: dict[str, tuple[object, Callable[[], object]]] = {
    "accuracy": (accuracy_report, lambda: accuracy_report.accuracy_figure(result("accuracy"))),
    "security": (attack_report, lambda: attack_report.security_figures(result("security"))),
    "cycles": (cycles_report, lambda: cycles_report.cycles_figure(result("cycles"))),
    "cycles-batch": (cycles_report, lambda: cycles_report.cycles_figure(result("cycles-batch"))),
    "memory": (memory_report, lambda: memory_report.memory_figure(result("memory"))),
    "mlperf-tiny": (mlperf_report, lambda: mlperf_report.mlperf_figure(result("mlperf-tiny"))),
    "demo": (demo_figures, lambda: demo_figures.draw(demo())),
    "profile": (profile, lambda: profile.draw(LAYERS, 2, "two layers")),
    "software": (software_report, lambda: software_report.figure(result("software"), result("cycles"))),
    "software-area": (software_area, lambda: software_area.area_figure(*map(result, ("software", "cycles", "area")))),
    "area": (synth_report, lambda: synth_report.area_figure(result("area"))),
}


def lines_of(axes: Axes) -> Iterator[Path]:
    """Of a plot, in pixels; points without a line between them are none."""
    for line in axes.lines:
        if line.get_linestyle() != "None" and line.get_visible():
            yield line.get_transform().transform_path(line.get_path())
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            yield from (axes.transData.transform_path(Path(segment)) for segment in lines.get_segments())


def faults_of(figure: Figure) -> list[str]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent(canvas.get_renderer())
            if text.get_text().strip() and any(line.intersects_bbox(box, filled=False) for line in lines_of(axes)):
                found.append(f"a line crosses {text.get_text()!r}")
        for bars in (each for each in axes.containers if isinstance(each, BarContainer)):
            limits = axes.get_ylim() if bars.orientation == "vertical" else axes.get_xlim()
            if limits[0] != 0:
                found.append(f"bars begin at {limits[0]:g}")
    return found


@pytest.mark.parametrize("name", DRAWN)
def test_no_line_crosses_a_label_and_bars_begin_at_0(name, monkeypatch):
    module, draw = DRAWN[name]
    figures: list[Figure] = []
    monkeypatch.setattr(module, "png", lambda figure, *_, **__: figures.append(figure) or b"")
    draw()
    assert figures
    assert [fault for figure in figures for fault in faults_of(figure)] == []


def test_faults_are_found():
    figure = Figure()
    axes = figure.subplots()
    axes.bar_label(axes.bar(["a", "b"], [10, 20]))
    assert faults_of(figure) == []
    axes.set_ylim(5, 30)
    axes.axhline(20.6)
    assert faults_of(figure) == ["a line crosses '20'", "bars begin at 5"]


def test_every_figure_is_here():
    drawing = {path.stem for path in (ROOT / "report").glob("*.py") if "png(" in path.read_text()}
    assert drawing - {"palette"} == {module.__name__.rpartition(".")[2] for module, _ in DRAWN.values()}
