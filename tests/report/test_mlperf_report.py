"""MLPerf Tiny's table and figure."""

from deeplock.report.mlperf_report import mlperf_figure, mlperf_section, mlperf_table


def row(network: str, size: int, cycles: float) -> dict:
    return {
        "network": network,
        "rows": size,
        "cols": size,
        "images": 8,
        "mismatches": 0,
        "macs": 1_000_000,
        "cycles_plain": cycles - 2,
        "cycles_locked": cycles,
        "lower_bound": 4000,
        "ratio": cycles / 4000,
    }


RESULT = {
    "command": "deeplock bench mlperf-tiny",
    "rows": [row("ic", 8, 31_250.0), row("ad", 8, 20_000.0)],
    "accuracy": {"ic": {"engine": "LiteRT 1", "pictures": 10_000, "tflite": 0.87, "golden": 0.8695, "agreement": 0.99}},
}


def test_macs_per_multiplier_and_inferences_a_second():
    head, (first, second) = mlperf_table(RESULT["rows"])
    assert dict(zip(head, first, strict=True)) == {
        "network": "image classification",
        "array": "8x8",
        "images": 8,
        "wrong bytes": 0,
        "MACs": "1,000,000",
        "plain": "31,248",
        "locked": "31,250",
        "bound": "4,000",
        "ratio": "7.812",
        "MACs / multiplier and cycle": "0.50",
        "inferences/s at 50 MHz": "1,600",
    }
    assert second[0] == "anomaly detection"


def test_the_section_tells_both_accuracies_and_the_figure_is_a_png():
    text = mlperf_section(RESULT)
    assert "86.95 % right, LiteRT 1 87.00 %; both name the same class on 99.00 %" in text
    assert mlperf_figure(RESULT).startswith(b"\x89PNG")
