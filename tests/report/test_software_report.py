"""What is shown of software.json, beside cycles.json and area.json."""

import json
from dataclasses import asdict, replace

import pytest

from deeplock.pymodel.spec.config import Config
from deeplock.report import results, software_area, software_report, software_suites
from tests.cli.test_main import ROOT

WAYS = (("plain", "plain"), ("deep-lock", "unlock-all"), ("deep-lock", "fused"), ("ascon", "unlock-all"))


def rows_of(platform: str, memory: str, **cycles: float) -> list[dict]:
    shared = {"network": "tiny", "platform": platform, "memory": memory, "macs": 100, "param_bytes": 40}
    return [
        {
            **shared, "suite": suite, "variant": variant, "cycles": count, "cycles_per_mac": count / 100,
            "ratio": count / cycles["plain"], "unlock_cycles_per_byte": None if variant == "plain" else 7.25,
            "layers": [{"name": "dense", "macs": 100, "cycles": int(count) - 10}],
        }
        for (suite, variant), count in zip(WAYS, cycles.values(), strict=False)
    ]  # fmt: skip


def test_the_report_shows_the_measured_figures():
    host = {
        "network": "tiny", "platform": "host", "memory": "host", "macs": 100, "suite": "plain", "variant": "plain",
        "instructions": 1000.0, "nanoseconds": 5000.0, "ratio": 1.0, "time_ratio": 1.0,
    }  # fmt: skip
    locked = {
        **host,
        "suite": "deep-lock",
        "variant": "fused",
        "instructions": 1500.0,
        "nanoseconds": 9000.0,
        "ratio": 1.5,
        "time_ratio": 1.8,
    }
    rows = [
        *rows_of("vexriscv", "ideal", plain=500.0, whole=800.0, fused=750.0),
        *rows_of("picorv32", "ideal", plain=2000.0, whole=3000.0, fused=3100.0),
        host,
        locked,
    ]
    array = {"network": "tiny", "suite": "deep-lock", "rows": 8, "cols": 8, "cycles_plain": 30.0, "cycles_locked": 30.0}
    software, cycles = {"rows": rows}, {"rows": [array]}
    head, (row,) = software_report.headline(software, cycles)
    assert row == ["tiny", "1.50", "-", "1.50", "1.000", "25 x", "-", "-"]
    assert len(head) == len(row)
    head, cells = software_report.comparison(software, cycles)
    assert [row[0:6] for row in cells] == [
        ["tiny", "VexRiscv", "ideal", "500", "750", "fused"],
        ["tiny", "PicoRV32", "ideal", "2,000", "3,000", "unlock-all"],
        ["tiny", "accelerator 8x8", "stream", "30", "30", "on the way in"],
    ]
    assert [row[-1] for row in cells] == ["1.00", "0.25", "25"] and all(len(row) == len(head) for row in cells)
    assert software_report.layer_rows(software)[1] == [["tiny", "dense", "100", "490", "4.90", "740", "7.40"]]
    assert [row[2:] for row in software_report.timings(software)[1]] == [
        ["plain", "plain", "1,000", "1.00", "5.0", "1.00"],
        ["deep-lock", "fused", "1,500", "1.50", "9.0", "1.80"],
    ]
    assert software_report.figure(software, cycles).startswith(b"\x89PNG")


def test_the_soc_stands_between_software_and_array():
    """By hand: 750 / 100, 750 / 125 and 3000 / 120 of the cheapest software for the same suite."""
    shared = {"network": "tiny", "platform": "soc", "memory": "ideal", "macs": 100, "param_bytes": 40, "layers": []}
    costs = {"plain": (100.0, 60.0), "deep-lock": (125.0, 61.0), "ascon": (120.0, 80.0)}
    soc = [
        {
            **shared, "suite": suite, "variant": "plain" if suite == "plain" else "stream", "cycles": host, "load_cycles": 1700,
            "accelerator_cycles": accelerator, "cycles_per_mac": host / 100, "ratio": host / 100,
            "unlock_cycles_per_byte": None if suite == "plain" else (host - 100) / 40,
        }
        for suite, (host, accelerator) in costs.items()
    ]  # fmt: skip
    software = {"rows": [*rows_of("vexriscv", "ideal", plain=500.0, whole=800.0, fused=750.0, sealed=3000.0), *soc]}
    cells = software_report.soc_table(software).rows
    assert cells == [
        ["tiny", "ideal", "plain", "100", "60", "1.67", "1,700", "5 x"],
        ["tiny", "ideal", "deep-lock", "125", "61", "2.05", "1,700", "6 x"],
        ["tiny", "ideal", "ascon", "120", "80", "1.50", "1,700", "25 x"],
    ]
    name = software_report.NAMES["soc"]
    assert software_report.comparison(software, CYCLES).rows[1] == [
        "tiny", name, "ideal", "100", "125", "on the way in", "1.25", "1.00", "0.62", "6.00"
    ]  # fmt: skip
    assert software_report.headline(software, CYCLES).rows[0][-3:] == ["25 x", "75 x", "6 x"]
    cell = software_report.software_table([{**row, "outputs_equal_golden": True} for row in soc]).rows[1]
    assert cell[:7] == ["tiny", "soc", "ideal", "deep-lock", "stream", 125, 61]


ARRAY = {
    "suite": "deep-lock", "network": "tiny", "rows": 8, "cols": 8, "bytes_per_beat": 8, "activation_words": 32768,
    "cycles_plain": 29.0,
    "cycles_locked": 30.0,
}  # fmt: skip
SOFTWARE = {
    "command": "deeplock bench software",
    "machine": "a machine",
    "rows": [
        *rows_of("vexriscv", "ideal", plain=500.0, whole=800.0, fused=750.0),
        *rows_of("vexriscv", "slow", plain=900.0, whole=999.0, fused=1000.0),
        *rows_of("vexriscv-cfu", "ideal", plain=500.0, whole=600.0, fused=650.0),
        *rows_of("picorv32", "ideal", plain=2000.0, whole=3000.0, fused=3100.0),
    ],
}
CYCLES = {"rows": [ARRAY, {**ARRAY, "rows": 16, "cols": 16, "bytes_per_beat": 16, "cycles_locked": 10.0}]}


def test_sealed_suites_stand_beside_the_papers():
    """By hand. A sealed suite changes nothing in the other tables."""
    host = {"network": "tiny", "platform": "host", "memory": "host", "macs": 100, "param_bytes": 40}
    software = {
        "rows": [
            *rows_of("vexriscv", "ideal", plain=500.0, whole=800.0, fused=750.0, sealed=3000.0),
            *rows_of("vexriscv", "slow", plain=1000.0, whole=1500.0, fused=1400.0, sealed=4000.0),
            {**host, "suite": "plain", "variant": "plain", "instructions": 1000.0, "ratio": 1.0},
            {**host, "suite": "deep-lock", "variant": "unlock-all", "instructions": 1200.0, "ratio": 1.2},
            {**host, "suite": "ascon", "variant": "unlock-all", "instructions": 2100.0, "ratio": 2.1},
        ]
    }
    array = {"network": "tiny", "rows": 8, "cols": 8, "cycles_plain": 30.0}
    cycles = {
        "rows": [
            {**array, "suite": "deep-lock", "cycles_locked": 30.0},
            {**array, "suite": "ascon", "cycles_locked": 60.0},
            {**array, "suite": "ascon", "rows": 4, "cycles_locked": 1.0},
        ]
    }
    head, cells = software_suites.suites_table(software, cycles)
    assert cells == [
        ["tiny", "deep-lock", "7.25", "1.60", "7.25", "1.50", "5.00", "1.20", "1.000", "27 x"],
        ["tiny", "ascon", "7.25", "6.00", "7.25", "4.00", "27.50", "2.10", "2.000", "50 x"],
    ]
    assert all(len(row) == len(head) for row in cells)
    assert [row[4] for row in software_report.comparison(software, cycles)[1]][:2] == ["750", "1,400"]
    assert software_report.headline(software, cycles)[1][0][-3] == "25 x"


def synthesised(lut4: int, **fields: object) -> dict:
    counts = {"lut4": lut4, "ff": 2000, "bram": 10, "dsp": 4}
    return {"device": "lfe5u-85f", "board": None, **fields, **counts}


def area_of(*configs: tuple[int, Config], device: str = "lfe5u-85f") -> dict:
    """What a sweep gives of these arrays, with a board and plain ones among them, and of two cores."""
    rows = []
    for lut4, config in configs:
        rows.append(synthesised(1, **asdict(replace(config, suite="plain"))))
        rows.append(synthesised(2, **asdict(config)) | {"board": "ulx3s-85f"})
        rows.append(synthesised(lut4, **asdict(config)) | {"device": device})
    cores = [synthesised(lut4, component="riscv", core=core) for core, lut4 in (("vexriscv", 3600), ("picorv32", 2500))]
    smaller = [synthesised(1, component="riscv", core="vexriscv") | {"device": "lfe5u-25f"}]
    others = [synthesised(9, component="sbox", direction="inverse", sbox="rom")]
    result = {"command": "deeplock synth", "rows": rows, "components": [*others, *smaller, *cores]}
    return json.loads(json.dumps(result))  # a file has lists where a Config has tuples


USUAL = Config(activation_words=32768)


def test_cycles_times_lut4_are_of_the_simulated_accelerators_and_of_one_device():
    """By hand: 750 x 3600, 3000 x 2500 and 30 x 9000. The core with the unit and the 16x16 array were not synthesised."""
    area = area_of((123, replace(USUAL, lanes=4)), (9000, USUAL))
    head, cells = software_area.area_table(SOFTWARE, CYCLES, area)
    assert head == ["platform", "LUT4", "FF", "BRAM", "DSP", "tiny"]
    assert cells == [
        ["VexRiscv", "3,600", "2,000", "10", "4", "2.7 (10.00 x)"],
        ["PicoRV32", "2,500", "2,000", "10", "4", "7.5 (27.78 x)"],
        ["accelerator 8x8", "9,000", "2,000", "10", "4", "0.3 (1.00 x)"],
    ]
    assert software_area.area_figure(SOFTWARE, CYCLES, area).startswith(b"\x89PNG")


@pytest.mark.parametrize("area", [area_of((9000, replace(USUAL, lanes=4))), area_of((9000, USUAL), device="lfe5u-25f")])
def test_without_the_simulated_accelerator_nothing_is_compared_with_it(area):
    cells = software_area.area_table(SOFTWARE, CYCLES, area)[1]
    assert [(row[0], row[-1]) for row in cells] == [("VexRiscv", "2.7"), ("PicoRV32", "7.5")]


def test_a_network_that_was_not_run_on_a_core_is_left_out_there():
    more = [{**row, "network": "large"} for row in rows_of("vexriscv", "ideal", plain=1.0, whole=2.0, fused=3.0)]
    software = {"rows": [*SOFTWARE["rows"], *more]}
    area = area_of((9000, USUAL))
    head, cells = software_area.area_table(software, CYCLES, area)
    assert head[-2:] == ["tiny", "large"]
    assert [row[-1] for row in cells] == ["0.0", "-", "-"]
    assert software_area.area_figure(software, CYCLES, area).startswith(b"\x89PNG")


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """report/results.py on copies; gives the folder of results, and the page as it is then."""
    for name in ("docs/measured.md", "docs/benchmarks.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    folder, page = tmp_path / "results", tmp_path / "docs" / "benchmarks.md"
    folder.mkdir()
    for name, value in (("RESULTS", folder), ("MEASURED", tmp_path / "docs" / "measured.md"), ("BENCHMARKS", page)):
        monkeypatch.setattr(results, name, value)
    for name, value in (("software", SOFTWARE), ("cycles", CYCLES)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder, page.read_text


def test_the_page_says_that_area_is_not_measured_until_it_is(docs):
    folder, page = docs
    missing = "Not measured yet: `deeplock synth --sweep fpga/flow/area.toml --json docs/results/area.json`.\n"
    for area in (None, area_of() | {"components": []}):
        if area:
            (folder / "area.json").write_text(json.dumps(area))
        results.take_software(folder / "software.json")
        assert missing in page() and "software-area.png" not in page()
        assert not (folder / "software-area.png").exists()
    (folder / "area.json").write_text(json.dumps(area_of((9000, USUAL))))
    results.take_software(folder / "software.json")
    assert missing not in page() and "| VexRiscv | 3,600 | 2,000 | 10 | 4 | 2.7 (10.00 x) |\n" in page()
    assert "By `deeplock synth`." in page() and "(results/software-area.png)" in page()
    assert (folder / "software-area.png").read_bytes().startswith(b"\x89PNG")
