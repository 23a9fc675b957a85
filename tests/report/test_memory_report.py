"""Memory's table and figure."""

from deeplock.report.memory_report import memory_area, memory_figure, memory_section, memory_table


def row(network: str, outstanding: int, latency: int, starved: float) -> dict:
    return {
        "network": network,
        "suite": "deep-lock",
        "rows": 16,
        "cols": 16,
        "bytes_per_beat": 16,
        "burst": 16,
        "outstanding": outstanding,
        "latency": latency,
        "images": 2,
        "mismatches": 0,
        "cycles": 1000 + starved,
        "param_starved_cycles": starved,
    }


ROWS = [row(name, count, latency, latency / count) for name in ("a", "b") for count in (1, 4) for latency in (10, 40)]
RESULT = {"command": "deeplock bench memory", "rows": ROWS}


def test_each_latency_has_a_line_and_each_number_of_bursts_a_column():
    table = memory_table(ROWS)
    assert table.head == ["network", "latency", "1 outstanding", "4 outstanding"]
    assert table.rows[1] == ["a", 40, "1,040 (3.85 %)", "1,010 (0.99 %)"] and len(table.rows) == 4


def test_the_section_says_what_was_measured_and_the_figure_is_a_png():
    text = memory_section(RESULT)
    assert "16x16, B = 16, bursts of 16 beats, suite `deep-lock`, 2 images" in text and "results/memory.png" in text
    assert memory_figure(RESULT).startswith(b"\x89PNG")


def test_area_is_one_line_a_design():
    fields = {"device": "lfe5u-85f", "rows": 8, "bytes_per_beat": 8, "outstanding": 4, "lut4": 1, "ff": 2, "bram": 3}
    lines = memory_area({"command": "deeplock synth", "components": [fields]}).splitlines()
    assert lines[2] == "| lfe5u-85f | 8x8 | 8 | 4 | 1 | 2 | 3 |" and lines[-1] == "By `deeplock synth`."
