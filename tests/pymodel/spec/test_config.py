"""What a Config refuses."""

import re

import pytest

from deeplock.pymodel.spec.config import FEATURES, Config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 5}, "rows must be 4, 8 or 16, not 5"),
        ({"cols": 4}, "cols must be a power of two from rows (8) to 32, not 4"),
        ({"bytes_per_beat": 16}, "bytes_per_beat must be 4, 8 or 16 and at most cols (8), not 16"),
        ({"lanes": 3}, "lanes must be a power of two up to rows (8), not 3"),
        ({"multiplier_cycles": 3}, "multiplier_cycles must be 1, 2, 4, 8 or 16, not 3"),
        ({"accumulators": 100}, "accumulators must be a power of two from 16 to 4096, not 100"),
        ({"sum_bits": 16}, "sum_bits must be 24 or 32, not 16"),
        ({"sum_bits": 25}, "sum_bits must be 24 or 32, not 25"),
        ({"dense": False, "lanes": 2}, "lanes must be 1 without dense, not 2"),
        ({"single_port": True}, "dense must be left out with single_port"),
        ({"single_port": True, "lanes": 1}, "dense must be left out with single_port"),
        ({"suite": "none"}, "suite must be one of acorn, ascon, deep-lock, plain, tinyjambu, not none"),
        ({"ofmap_bytes": 128}, "ofmap_bytes must be a power of two from 256 to 16384, not 128"),
        ({"ofmap_bytes": 300}, "ofmap_bytes must be a power of two from 256 to 16384, not 300"),
        ({"ofmap_bytes": 1 << 15}, "ofmap_bytes must be a power of two from 256 to 16384, not 32768"),
        (
            {"lanes": 1, "cols": 32, "ofmap_bytes": 32, "suite": "ascon"},
            "ofmap_bytes must be at least 64 with a suite that seals, not 32",
        ),
        ({"suite": "acorn", "key_sizes": (32,)}, "key_sizes must be some of (16,), ascending, not (32,)"),
        ({"key_sizes": (8,)}, "key_sizes must be some of (16, 24, 32), ascending, not (8,)"),
        ({"key_sizes": (32, 16)}, "key_sizes must be some of (16, 24, 32), ascending, not (32, 16)"),
        ({"key_sizes": 16}, "key_sizes must be some of (16, 24, 32), ascending, not 16"),
        ({"sbox": "ram"}, "sbox must be rom, lut or composite, not ram"),
    ],
)
def test_a_value_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Config(**fields)


def test_lanes_are_as_many_as_rows_or_one_without_dense():
    assert [Config(rows=rows, cols=16, dense=dense).lanes for dense in (True, False) for rows in (4, 16)] == [
        4, 16, 1, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(("suite", "beats"), [("deep-lock", 32), ("plain", 32), ("acorn", 256), ("tinyjambu", 256)])
def test_the_ofmap_buffer_is_deeper_if_it_holds_ofmaps_back(suite, beats):
    for lanes in (1, 4, 8):
        assert Config(lanes=lanes, suite=suite).ofmap_bytes == beats * lanes
    assert Config(suite=suite, ofmap_bytes=512).ofmap_bytes == 512
    assert Config(suite=suite, ofmap_bytes=512, cols=16).sealed_ofmap_beats == 512 // 16 // 2


def test_another_suite_takes_its_own_key_sizes_and_ofmap_buffer():
    config = Config(lanes=2, accumulators=64, key_sizes=(16, 32), ofmap_bytes=512)
    assert config.with_suite("deep-lock") is config
    assert config.with_suite("acorn") == Config(lanes=2, accumulators=64, suite="acorn")
    assert config.with_suite("acorn").with_suite("deep-lock") == Config(lanes=2, accumulators=64)


def test_every_field_is_in_the_name():
    assert Config(sum_bits=24).name != Config().name
    names = {Config(lanes=1, **{name: not getattr(Config, name)}).name for name in FEATURES}
    assert len(names) == len(FEATURES) and Config(lanes=1).name not in names
