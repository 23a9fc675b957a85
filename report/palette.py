"""What all figures share: colours, the name and colour of each cause of cycles, and the PNG."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BLACK", "BLUE", "CAUSES", "GREEN", "GREY", "LIGHT_BLUE", "OLIVE", "ORANGE", "PINK", "PURPLE", "RED", "SAND", "SERIES",
    "TEAL", "in_words", "png",
]  # fmt: skip

BLUE, LIGHT_BLUE, ORANGE, SAND, RED = "#2f6fb0", "#7fa8d1", "#d9792b", "#eec27e", "#b3261e"
GREEN, TEAL, OLIVE, PURPLE, PINK = "#3a8a3a", "#4b9c8e", "#9a9a3f", "#7a5fa6", "#cf7fa8"
GREY, BLACK = "#b8b8b8", "#1f2937"

SERIES = (BLUE, ORANGE, TEAL, PURPLE, SAND, RED, OLIVE, PINK, LIGHT_BLUE)
"""Colours of things that have none of their own, one after the other."""

CAUSES = {
    "COMPUTE": BLUE,
    "PARAM_STARVED": ORANGE,
    "KEY_STARVED": RED,
    "LOAD_BOUND": SAND,
    "FEEDER": PURPLE,
    "POST": TEAL,
    "OUTPUT_STALLED": PINK,
    "DRAIN": GREY,
    "INPUT_STARVED": OLIVE,
}
"""Colour of each counter but CYCLES, in the order of a bar."""


def in_words(name: str) -> str:
    """The name of a counter, or of a bound, for people: the same in figures and tables."""
    return name.lower().replace("_", " ")


def png(figure: "Figure", tight: bool = True) -> bytes:
    """The figure as PNG, the same bytes each time; `tight` cuts its margins."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130, bbox_inches="tight" if tight else None, metadata={"Software": None})
    return file.getvalue()
