"""Sweep files."""

from dataclasses import asdict
from pathlib import Path

import pytest

from deeplock.fpga.boards import BOARDS, board
from deeplock.fpga.flow.designs import Design
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.sweep import read_sweep
from deeplock.hw.lock.sbox import STYLES
from deeplock.pymodel.errors import DeeplockError

CORE = "[[core]]\ndevice = 'up5k'\n"
AREA = Path(__file__).parents[3] / "fpga" / "flow" / "area.toml"
BOARD = "[[board]]\nboard = 'icebreaker'\n"
COMPONENT = "[[component]]\ndevice = 'up5k'\n"


def _rows_of(path: Path) -> list[tuple[Design, Device]]:
    return [(job.design, job.device) for job in read_sweep(path, 5)]


def rows_of(text: str, tmp_path) -> list[tuple[str, dict]]:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return [(device.name, design.fields) for design, device in _rows_of(path)]


def test_lists_are_crossed_and_suite_plain_counts_once(tmp_path):
    text = """
        [[core]]
        device = ["lfe5u-25f", "lfe5u-85f"]
        rows = 8
        cols = 8
        suite = ["plain", "deep-lock"]
        sbox = ["rom", "composite"]
    """
    rows = rows_of(text, tmp_path)
    found = [(device, fields["suite"], fields["sbox"]) for device, fields in rows]
    kinds = [("plain", None), ("deep-lock", "rom"), ("deep-lock", "composite")]
    assert found == [(device, *kind) for device in ("lfe5u-25f", "lfe5u-85f") for kind in kinds]
    assert {(fields["rows"], fields["cols"], fields["lanes"]) for _, fields in rows} == {(8, 8, 8)}


def test_boards_have_their_own_accelerators_and_clocks(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("""
        [[board]]
        board = ["icebreaker", "ulx3s-85f"]
        suite = ["plain", "deep-lock"]
        program_words = 128
    """)
    found = []
    for design, device in _rows_of(path):
        fields = design.fields
        own = BOARDS[fields["board"]].config
        assert (fields["rows"], fields["cols"], fields["lanes"]) == (own.rows, own.cols, own.lanes)
        assert fields["program_words"] == 128
        found.append((device.name, fields["board"], fields["clock_mhz"], device.mhz, fields["suite"], fields["sbox"]))
    clocks = {name: BOARDS[name].clock_hz / 1e6 for name in ("icebreaker", "ulx3s-85f")}
    places = [("up5k", "icebreaker"), ("lfe5u-85f", "ulx3s-85f")]
    places = [(device, name, clocks[name], clocks[name]) for device, name in places]
    assert found == [(*place, *kind) for place in places for kind in (("plain", None), ("deep-lock", "rom"))]


def test_a_core_may_be_that_of_a_board_on_its_device_or_another(tmp_path):
    text = "[[core]]\nboard = 'icebreaker'\n[[core]]\nboard = 'icebreaker'\ndevice = 'hx8k'\nsingle_port = false\n"
    own = asdict(BOARDS["icebreaker"].config)
    assert rows_of(text, tmp_path) == [("up5k", own), ("hx8k", own | {"single_port": False})]


def test_components_follow_cores(tmp_path):
    text = (
        COMPONENT
        + "component = 'key_schedule'\nbytes_per_beat = [4, 16]\nkey_sizes = [[16, 24, 32]]\nsbox = 'rom'\n"
        + CORE
    )
    core, *schedules = rows_of(text, tmp_path)
    assert core[1]["suite"] == "deep-lock"
    expected = {"component": "key_schedule", "key_sizes": (16, 24, 32), "sbox": "rom"}
    assert schedules == [("up5k", expected | {"bytes_per_beat": size}) for size in (4, 16)]


def test_a_table_may_say_how_many_seeds_its_rows_get(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CORE + "[[core]]\ndevice = 'hx8k'\nseeds = 0\n[[core]]\ndevice = 'lfe5u-25f'\nseeds = [2]\n")
    assert [list(job.seeds) for job in read_sweep(path, 3)] == [[1, 2, 3], [], [1, 2]]


def test_the_sweep_of_the_project_has_every_board_sealed_plain_and_locked_and_every_style_of_s_box():
    rows = [design.fields for design, _ in _rows_of(AREA)]
    boards = [(row["board"], row["sbox"] or row["suite"]) for row in rows if "board" in row]
    assert sorted(boards) == sorted((name, lock) for name in BOARDS for lock in (board(name).suite, "plain", "rom"))
    cores = {(row["rows"], row["cols"], row["sbox"]) for row in rows if "board" not in row and "suite" in row}
    assert {(*size, style) for size in ((4, 4), (8, 8), (8, 16)) for style in STYLES} < cores


@pytest.mark.parametrize(
    "text, message",
    [
        ("rows = ", "sweep.toml: Invalid value"),
        ("", r"sweep.toml: no \[\[core\]\], no \[\[board\]\] and no \[\[component\]\]$"),
        ("[[chip]]\nrows = 4\n", r"tables must be \[\[core\]\], \[\[board\]\] or \[\[component\]\], not chip$"),
        ("core = 4", r"core must be a list of tables, \[\[core\]\]$"),
        ("[[core]]\nrows = 4\n", r"sweep.toml: \[\[core\]\] 1: no device$"),
        (CORE + CORE + "colls = 4\n", r"sweep.toml: \[\[core\]\] 2: .*colls"),
        (CORE + "rows = [4, 5]\n", r"sweep.toml: \[\[core\]\] 1: rows must be 4, 8 or 16, not 5$"),
        (CORE + "rows = 'four'\n", r"sweep.toml: \[\[core\]\] 1: rows must be 4, 8 or 16, not four$"),
        ("[[core]]\ndevice = 'ice9'\n", r"sweep.toml: \[\[core\]\] 1: device must be lfe5u-25f, .*, not ice9$"),
        ("[[board]]\nrows = 4\n", r"sweep.toml: \[\[board\]\] 1: no board$"),
        ("[[board]]\nboard = 'arty'\n", r"sweep.toml: \[\[board\]\] 1: board must be icebreaker, .*, not arty$"),
        (BOARD + "rows = 5\n", r"sweep.toml: \[\[board\]\] 1: rows must be 4, 8 or 16, not 5$"),
        (BOARD + "device = 'up5k'\n", r"sweep.toml: \[\[board\]\] 1: .*device"),
        (COMPONENT, r"sweep.toml: \[\[component\]\] 1: no component$"),
        (
            COMPONENT + "component = 'alu'\n",
            r"component must be sbox, key_schedule, unlock_unit, memory_master, riscv, not alu$",
        ),
        (
            COMPONENT + "component = 'unlock_unit'\nbytes_per_beat = 0\nsbox = 'rom'\n",
            r"sweep.toml: \[\[component\]\] 1: bytes_per_beat must be one of 4, 8, 16, not 0$",
        ),
        (
            COMPONENT + "component = 'sbox'\ndirection = 'both'\nsbox = 'rom'\n",
            r"sweep.toml: \[\[component\]\] 1: .*direction both .*composite",
        ),
    ],
)
def test_faults_say_where_they_are(text, message, tmp_path):
    with pytest.raises(DeeplockError, match=message):
        rows_of(text, tmp_path)
