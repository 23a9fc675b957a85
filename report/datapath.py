"""Draws the accelerator's datapath: `draw()` gives the text of docs/datapath.svg, which report/results.py writes."""

from deeplock.report.drawing import picture, rectangle, text
from deeplock.report.palette import BLUE, GREEN, ORANGE

__all__ = ["BOXES", "draw"]

WIDTH, HEIGHT = 1040, 650

BOXES = {
    "registers": (300, 50, 160, 66, ["commands, status,", "write-only key"]),
    "sequencer": (520, 50, 160, 66, ["program memory,", "layer descriptors"]),
    "counters": (750, 50, 150, 66, ["where each", "cycle went"]),
    "sections": (130, 240, 100, 70, ["parts of", "the stream"]),
    "lock": (264, 180, 160, 130, []),
    "loadable port": (464, 166, 120, 70, ["checks the", "head"]),
    "weight loader": (586, 240, 104, 70, ["one tile", "ahead"]),
    "unfolder": (130, 365, 140, 70, ["arranges the", "ifmap"]),
    "activation memory": (310, 365, 160, 70, ["bytes, read in", "words of R"]),
    "window feeder": (524, 365, 130, 70, ["a layer's", "loops"]),
    "issue": (714, 365, 88, 70, ["meets the", "weights"]),
    "systolic array": (830, 210, 180, 240, ["R x C, int8", "weight-stationary"]),
    "accumulators": (830, 500, 180, 70, ["C sums for each", "output pixel"]),
    "post-processing": (520, 500, 180, 70, ["requantise,", "max-pool"]),
    "ofmap buffer": (130, 500, 140, 70, []),
}
"""Name: x, y, width, height, and what the component does."""

PARTS = {"key schedule": (276, 206, 136, 40), "unlock unit": (276, 256, 136, 40)}
"""Boxes inside the lock, of suite `deep-lock`."""

LOCKED, UNLOCKED, DATA, CONTROL = ORANGE, BLUE, GREEN, "#6b7280"
KINDS = {
    LOCKED: "locked parameters",
    UNLOCKED: "key, head and unlocked parameters",
    DATA: "ifmap, activations, sums, ofmap",
    CONTROL: "program and control",
}

WIRES = [
    (CONTROL, [(20, 82), (300, 82)], "AXI4-Lite", (30, 74)),
    (LOCKED, [(20, 276), (130, 276)], "AXI4-Stream", (30, 268)),
    (LOCKED, [(230, 276), (276, 276)], "", (0, 0)),
    (CONTROL, [(540, 166), (540, 116)], "program", (548, 146)),
    (UNLOCKED, [(370, 116), (370, 206)], "master key", (378, 160)),
    (UNLOCKED, [(344, 246), (344, 256)], "", (0, 0)),
    (UNLOCKED, [(424, 206), (464, 206)], "", (0, 0)),
    (UNLOCKED, [(412, 276), (586, 276)], "parameters", (472, 268)),
    (UNLOCKED, [(690, 276), (830, 276)], "weights", (704, 268)),
    (UNLOCKED, [(668, 310), (668, 500)], "requantise entries", (526, 478)),
    (DATA, [(20, 400), (130, 400)], "AXI4-Stream", (30, 392)),
    (DATA, [(270, 400), (310, 400)], "", (0, 0)),
    (DATA, [(470, 400), (524, 400)], "", (0, 0)),
    (DATA, [(654, 400), (714, 400)], "", (0, 0)),
    (DATA, [(802, 400), (830, 400)], "", (0, 0)),
    (DATA, [(920, 450), (920, 500)], "", (0, 0)),
    (DATA, [(830, 535), (700, 535)], "", (0, 0)),
    (DATA, [(520, 522), (390, 522), (390, 435)], "next layer", (398, 514)),
    (DATA, [(520, 550), (270, 550)], "last layer", (398, 568)),
    (DATA, [(130, 535), (20, 535)], "AXI4-Stream", (30, 527)),
    (CONTROL, [(640, 116), (640, 240)], "", (0, 0)),
    (CONTROL, [(680, 84), (695, 84), (695, 500)], "", (0, 0)),
    (CONTROL, [(695, 338), (588, 338), (588, 365)], "", (0, 0)),
    (CONTROL, [(770, 365), (770, 116)], "events", (778, 190)),
    (CONTROL, [(825, 50), (825, 26), (380, 26), (380, 50)], "", (0, 0)),
]
"""Colour, corners from source to sink, label and its place."""

NAMES = [("loadable", 30, 294), ("ifmap", 30, 418), ("ofmap", 30, 553)]


def component(name: str) -> list[str]:
    x, y, width, height, does = BOXES[name]
    centre, first = x + width / 2, y + 20 if does or name == "lock" else y + height / 2 + 5
    lines = [text(centre, first + 18 * (1 + line), words, middle=True) for line, words in enumerate(does)]
    frame = rectangle(x, y, width, height, 'rx="6" fill="#f3f4f6" stroke="#1f2937"')
    return [frame, text(centre, first, name, middle=True, bold=True), *lines]


def wire(colour: str, corners: list[tuple[int, int]], label: str, place: tuple[int, int]) -> list[str]:
    points = " ".join(f"{x},{y}" for x, y in corners)
    look = 'stroke-width="1.5" stroke-dasharray="5 3"' if colour == CONTROL else 'stroke-width="3"'
    end = f'marker-end="url(#to{colour[1:]})"'
    line = f'<polyline points="{points}" fill="none" stroke="{colour}" {look} {end}/>'
    return [line, text(*place, label)] if label else [line]


def marker(colour: str) -> str:
    size = 'markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="10"'
    head = f'<path d="M0,0 L10,5 L0,10 z" fill="{colour}"/>'
    return f'<marker id="to{colour[1:]}" {size} refX="10" refY="5" orient="auto">{head}</marker>'


def elements() -> list[str]:
    """Processing elements, each with the weight in use and its shadow, the next tile's."""
    x, y, size = 868, 296, 30
    places = [(x + 38 * column, y + 38 * row) for row in range(3) for column in range(3)]
    weight, shadow = f'fill="{UNLOCKED}"', f'fill="white" stroke="{UNLOCKED}"'
    both = [(rectangle(x, y, 20, size, weight), rectangle(x + 20, y, 8, size, shadow)) for x, y in places]
    return [
        *(part for pair in both for part in pair),
        text(920, 428, "weight | shadow", middle=True),
    ]


def legend() -> list[str]:
    lines, x = [], 40
    for colour, words in KINDS.items():
        lines += wire(colour, [(x, 620), (x + 36, 620)], words, (x + 44, 625))
        x += 74 + 7 * len(words)
    return lines


def draw() -> str:
    parts = []
    for name in BOXES:
        parts += component(name)
    for name, (x, y, width, height) in PARTS.items():
        parts.append(rectangle(x, y, width, height, 'rx="4" fill="white" stroke="#1f2937"'))
        parts.append(text(x + width / 2, y + height / 2 + 5, name, middle=True))
    for line in WIRES:
        parts += wire(*line)
    parts += [text(x, y, name, bold=True) for name, x, y in NAMES] + elements() + legend()
    title = "Datapath of the accelerator: parameters are locked up to the lock, unlocked behind it"
    return picture(title, WIDTH, HEIGHT, parts, "".join(map(marker, KINDS)))
