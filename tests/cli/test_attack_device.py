import json

import pytest

GOLDEN = ("attack", "device", "--attack", "replay,remanence")


def test_rows_stand_beside_those_of_the_other_attacks_and_are_kept(deeplock, tmp_path):
    file = tmp_path / "security.json"
    other = deeplock("attack", "pruning", "--scheme", "hpnn", "--network", "digits", "--count", 100, "--json", file)
    assert other.code == 0, other.err
    first = deeplock(*GOLDEN, "--json", file)
    assert first.code == 0, first.err
    rows = json.loads(file.read_text())["rows"]
    assert [row["attack"] for row in rows] == ["pruning", "remanence", "replay", "replay"]
    for row in rows[1:]:
        assert (row["scheme"], row["network"], row["target"], row["seeds"]) == ("deep-lock", "digits", "golden", [0])
        assert "rtl" not in row
    assert "remanence" in first.out and "output beats" in first.out
    again = deeplock(*GOLDEN, "--json", file)
    assert again.code == 0 and "replay on digits" not in again.err, "what is there is not run again"
    assert json.loads(file.read_text())["rows"] == rows
    fresh = deeplock(
        "attack", "pruning", "--scheme", "hpnn", "--network", "digits", "--count", 100, "--fresh", "--json", file
    )
    assert fresh.code == 0 and json.loads(file.read_text())["rows"] == rows


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("--attack", "voodoo"), "attack must be one of chosen-program, desync"),
        (("--network", "lenet"), "network must be one of digits, mnist"),
        (("--target", "asic"), "target must be one of golden, rtl, not asic"),
        (("--suite", "plain"), "suite plain locks nothing that could be attacked"),
        (("--suite", "rot13"), "suite must be one of acorn, ascon, deep-lock, plain, tinyjambu, not rot13"),
        (("--scheme", "hpnn"), "--scheme has no effect with device: leave it out"),
    ],
)
def test_faults_are_named(deeplock, arguments, line):
    outcome = deeplock("attack", "device", *arguments)
    assert outcome.code != 0 and line in outcome.err and len(outcome.err.strip().splitlines()) == 1


def test_options_of_devices_need_the_name(deeplock):
    outcome = deeplock("attack", "pruning", "--target", "rtl")
    assert outcome.code != 0 and "--target has no effect without the name device" in outcome.err
