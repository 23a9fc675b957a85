"""The profile's table: cycles per inference, beside the lower bound and the array bound."""

from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.report.profile import draw, table

COUNTS = [{"CYCLES": 300, "COMPUTE": 280, "DRAIN": 20}, {"CYCLES": 50, "COMPUTE": 40, "DRAIN": 10}]
SHAPES = {"input": (4, 4, 8), "output": (2, 2, 8), "kernel": (3, 3), "pool": (1, 1)}
LAYERS = [
    {
        **SHAPES,
        "name": name,
        "lower_bound": lower,
        "array_bound": array,
        "counters": dict.fromkeys(dict(COUNTERS), 0) | counts,
    }
    for name, counts, lower, array in zip(("conv", "pool"), COUNTS, (100, 0), (120, 20), strict=True)
]
"""A layer with weights and one without, whose lower bound is 0; counters of two inferences."""


def test_cycles_stand_beside_both_bounds():
    head, rows = table(LAYERS, 2)
    assert head[5:] == ["cycles", "lower bound", "ratio", "array bound", "ratio", "compute", "drain"]
    assert [row[0] for row in rows] == ["1 conv", "2 pool", "all"]
    assert [list(row[5:]) for row in rows] == [
        [150.0, 100, 1.5, 120, 1.25, 140.0, 10.0],
        [25.0, 0, "-", 20, 1.25, 20.0, 5.0],
        [175.0, 100, 1.75, 140, 1.25, 160.0, 15.0],
    ]


def test_a_picture_is_drawn():
    assert draw(LAYERS, 2, "two layers").startswith(b"\x89PNG")
