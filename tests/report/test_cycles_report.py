from deeplock.report.cycles_report import cycles_figure, cycles_table
from deeplock.report.tables import markdown

ROW = {
    "network": "tiny", "suite": "deep-lock",
    "rows": 4, "cols": 8, "bytes_per_beat": 8, "activation_words": 64, "images": 2, "mismatches": 0,
    "cycles_plain": 100.0, "cycles_locked": 110.5, "lower_bound": 90, "ratio": 1.2278, "key_starved_cycles": 0,
    "param_starved_cycles": 1.5, "simulated_cycles_per_second": 1,
    "counters": {
        "CYCLES": 110.5, "COMPUTE": 90.0, "PARAM_STARVED": 1.5, "KEY_STARVED": 0, "LOAD_BOUND": 9.0, "FEEDER": 0,
        "POST": 0, "OUTPUT_STALLED": 0, "DRAIN": 10.0, "INPUT_STARVED": 0,
    },
}  # fmt: skip


def test_the_table_names_the_causes_that_cost_cycles():
    head, (cells,) = cycles_table([ROW])
    assert dict(zip(head, cells, strict=True)) == {
        "network": "tiny", "array": "4x8", "suite": "deep-lock", "images": 2, "wrong bytes": 0, "plain": 100.0, "locked": 110.5,
        "locked - plain": 10.5, "bound": 90, "ratio": 1.228, "compute": 90.0, "param starved": 1.5, "key starved": 0,
        "load bound": 9.0, "drain": 10.0,
    }  # fmt: skip


def test_table_and_figure_of_a_result():
    assert "| tiny | 4x8 | deep-lock | 2 | 0 | 100.0 | 110.5 |" in markdown(cycles_table([ROW]), 2)
    assert cycles_figure({"rows": [ROW, {**ROW, "network": "other"}]}).startswith(b"\x89PNG")
