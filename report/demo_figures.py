"""The pictures of `deeplock demo`, drawn by matplotlib without a display."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure

from deeplock.bench.demo import Measured
from deeplock.report.palette import BLUE, CAUSES, GREY, ORANGE, RED, in_words, png

__all__ = ["draw"]


def _accuracy(measured: Measured) -> Figure:
    accuracy, wrong = measured.report["accuracy"], np.array(measured.wrong)
    names = ["float32", "int8", "locked,\nright key", f"locked,\n{len(wrong)} wrong keys"]
    values = [100 * accuracy[name] for name in ("float", "int8", "unlocked", "wrong_key_mean")]
    figure = Figure((7, 3.6))
    axes = figure.subplots()
    axes.bar_label(axes.bar(names, values, color=[BLUE, BLUE, BLUE, ORANGE], width=0.6), fmt="%.1f %%", padding=3)
    offsets = np.linspace(-0.22, 0.22, len(wrong))
    axes.scatter(3 + offsets, 100 * wrong, s=10, color="black", zorder=3, label="each wrong key")
    axes.axhline(10, color=GREY, linestyle="--", zorder=0, label="chance")
    axes.set(ylabel="test accuracy (%)", ylim=(0, 110))
    axes.legend(loc="center right", frameon=False)
    return figure


def _cycles(measured: Measured) -> Figure:
    figure = Figure((8, 2.8))
    axes = figure.subplots()
    left = np.zeros(2)
    for counter, colour in CAUSES.items():
        cycles = np.array([run.per_image(counter) for run in (measured.locked, measured.plain)])
        if cycles.any():
            label = f"{in_words(counter)} ({cycles[0]:.1f})"
            axes.barh(["locked", "plain"], cycles, left=left, color=colour, label=label, height=0.6)
            left += cycles
    for row, run in enumerate((measured.locked, measured.plain)):
        axes.text(left[row], row, f" {run.cycles_per_image:.1f}", va="center")
    axes.axvline(measured.report["rtl"]["lower_bound"], color="black", linestyle="--", label="lower bound")
    axes.set(xlabel="cycles per image; in brackets those of the locked run", xlim=(0, 1.12 * left.max()))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, frameon=False)
    return figure


def _digits(measured: Measured) -> Figure:
    count = min(len(measured.images), 10)
    figure = Figure((8, 1.9))
    for index, axes in enumerate(np.ravel(figure.subplots(1, count))):
        right, wrong = (answers[index] for answers in measured.answers)
        axes.imshow(measured.images[index, :, :, 0], cmap="gray_r")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{measured.labels[index]}", fontsize=10)
        hit = right == measured.labels[index]
        axes.text(0.5, -0.3, f"{right}", transform=axes.transAxes, ha="center", color=BLUE if hit else RED)
        axes.text(0.5, -0.58, f"{wrong}", transform=axes.transAxes, ha="center", color=ORANGE)
        if index == 0:
            for height, text in ((1.1, "label"), (-0.3, "right key"), (-0.58, "wrong key")):
                axes.text(-0.25, height, text, transform=axes.transAxes, ha="right", fontsize=9)
    return figure


def _histogram(measured: Measured) -> Figure:
    figure = Figure((8, 2.8))
    bins = np.arange(0, 257, 4)
    parts = (("plain", measured.plain_bytes, BLUE), ("locked", measured.locked_bytes, ORANGE))
    for axes, (name, values, colour) in zip(figure.subplots(1, 2, sharey=True), parts, strict=True):
        axes.hist(values, bins=bins, color=colour)
        axes.set(title=f"{name} parameter bytes", xlabel="value of the byte", xlim=(0, 256))
        axes.set_xticks(range(0, 257, 64))
    return figure


def draw(measured: Measured) -> dict[str, tuple[str, bytes]]:
    """Title and PNG by file name."""
    return {
        "accuracy": ("Accuracy", png(_accuracy(measured))),
        "cycles": ("Cycles by cause", png(_cycles(measured))),
        "digits": ("Test images and the answers of the RTL", png(_digits(measured))),
        "bytes": ("Parameter bytes before and after locking", png(_histogram(measured))),
    }
