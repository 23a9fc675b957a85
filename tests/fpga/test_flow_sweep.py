"""Sweep files."""

import pytest

from fpga.sweep import read_sweep
from pymodel.errors import DeeplockError

CORE = "[[core]]\ndevice = 'up5k'\n"
COMPONENT = "[[component]]\ndevice = 'up5k'\n"


def rows_of(text: str, tmp_path) -> list[tuple[str, dict]]:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return [(device.name, design.fields) for design, device in read_sweep(path)]


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


def test_components_follow_cores(tmp_path):
    text = COMPONENT + "component = 'key_schedule'\nbytes_per_beat = [4, 16]\nkey_bits = 0\nsbox = 'rom'\n" + CORE
    core, *schedules = rows_of(text, tmp_path)
    assert core[1]["suite"] == "deep-lock"
    expected = {"component": "key_schedule", "key_bits": 0, "sbox": "rom"}
    assert schedules == [("up5k", expected | {"bytes_per_beat": size}) for size in (4, 16)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("rows = ", "sweep.toml: Invalid value"),
        ("", r"sweep.toml: no \[\[core\]\] and no \[\[component\]\]$"),
        ("[[board]]\nrows = 4\n", r"tables must be \[\[core\]\] or \[\[component\]\], not board$"),
        ("core = 4", r"core must be a list of tables, \[\[core\]\]$"),
        ("[[core]]\nrows = 4\n", r"sweep.toml: \[\[core\]\] 1: no device$"),
        (CORE + CORE + "colls = 4\n", r"sweep.toml: \[\[core\]\] 2: .*colls"),
        (CORE + "rows = [4, 5]\n", r"sweep.toml: \[\[core\]\] 1: rows must be 4, 8 or 16, not 5$"),
        (CORE + "rows = 'four'\n", r"sweep.toml: \[\[core\]\] 1: rows must be 4, 8 or 16, not four$"),
        ("[[core]]\ndevice = 'ice9'\n", r"sweep.toml: \[\[core\]\] 1: device must be up5k, .*, not ice9$"),
        (COMPONENT, r"sweep.toml: \[\[component\]\] 1: no component$"),
        (COMPONENT + "component = 'alu'\n", r"component must be sbox, key_schedule, unlock_unit, not alu$"),
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
