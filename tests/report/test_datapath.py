"""docs/datapath.svg: it is what report/datapath.py draws, well-formed, complete, and nothing in it is too small or covered."""

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

from deeplock.report.datapath import BOXES, HEIGHT, KINDS, LOCKED, UNLOCKED, WIDTH, WIRES, draw
from deeplock.report.drawing import FONT

COMMITTED = (Path(__file__).parents[2] / "docs" / "datapath.svg").read_text()
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_drawing_is_what_the_script_makes():
    assert draw() == COMMITTED, "docs/datapath.svg: run `python -m deeplock.report.results`"


def test_the_drawing_is_well_formed_and_names_every_component():
    words = {element.text for element in ElementTree.fromstring(COMMITTED).iter(f"{SVG}text")}
    components = {
        *(
            "sections",
            "loadable port",
            "lock",
            "key schedule",
            "unlock unit",
            "weight loader",
            "systolic array",
            "weight | shadow",
        ),
        *("unfolder", "activation memory", "window feeder", "issue", "accumulators", "post-processing", "ofmap buffer"),
        *("registers", "sequencer", "counters"),
    }
    assert components <= words and set(KINDS.values()) <= words


def test_colour_changes_from_locked_to_unlocked_in_the_lock():
    x, _, width, *_ = BOXES["lock"]
    ends = [(corners[0][0], corners[-1][0]) for colour, corners, *_ in WIRES if colour == LOCKED]
    assert ends and all(sink < x + width for _, sink in ends)
    assert all(corners[0][0] > x for colour, corners, *_ in WIRES if colour == UNLOCKED)


def test_letters_are_large_enough_and_boxes_apart():
    assert FONT * 820 / WIDTH >= 11
    for (ax, ay, aw, ah, _), (bx, by, bw, bh, _) in combinations(BOXES.values(), 2):
        assert ax + aw < bx or bx + bw < ax or ay + ah < by or by + bh < ay
    assert all(min(x, y, WIDTH - x - w, HEIGHT - y - h) > 0 for x, y, w, h, _ in BOXES.values())
