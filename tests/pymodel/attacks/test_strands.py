"""The four strands against the key expansion itself, and the search against a scan in NumPy."""

import numpy as np
import pytest

from deeplock.pymodel.attacks.strand_search import UNIT, merge, search
from deeplock.pymodel.attacks.strands import STRANDS, block_of, constants, last_word_bytes, run_strand, states_of
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.sbox import SBOX


@pytest.fixture
def blocks():
    """Blocks of a random key's stream, uint8 [200, 16]."""
    return expand_key(np.random.default_rng(5).bytes(16), 3_200).reshape(-1, 16)


@pytest.mark.parametrize("index", [3, 4, 50, 99])
def test_a_block_falls_apart_into_strands_and_comes_together_again(blocks, index):
    states = states_of(blocks[index], index)
    assert (block_of(states, index) == blocks[index]).all()
    for strand in range(STRANDS):
        bytes_ = run_strand(states[strand][None], strand, index - 3, 103)[0, 3:]
        places = 12 + last_word_bytes(strand, index, 100)
        assert (bytes_ == blocks[np.arange(index, index + 100), places]).all()


def test_strands_do_not_meet(blocks):
    """A change in one strand's state leaves the others' bytes of all later blocks as they are."""
    states = states_of(blocks[3], 3)
    states[2] ^= 0x5A
    changed = expand_key(_key_of(states), 3_200).reshape(-1, 16)
    for strand in range(STRANDS):
        places = np.arange(3, 200), 12 + last_word_bytes(strand, 3, 197)
        assert (changed[places] == blocks[places]).all() == (strand != 2)


def _key_of(states: np.ndarray) -> bytes:
    from deeplock.pymodel.attacks.schedule_inversion import invert_schedule

    return invert_schedule(block_of(states, 3), 48)


def _scan(tables: np.ndarray, strand: int, start: int, first: int) -> dict[int, int]:
    """Score by state of all states with that first byte whose running sums stay at 0 or more, in NumPy."""
    seconds = np.flatnonzero(tables[0, first].astype(int) + tables[1] >= 0)  # the others are out at once
    rest = (seconds[:, None].astype(np.uint32) << 16 | np.arange(1 << 16, dtype=np.uint32)).ravel()
    y = [np.full(len(rest), first, np.uint8), *((rest >> shift).astype(np.uint8) for shift in (16, 8, 0))]
    fed, states = constants(strand, start, len(tables)), rest | np.uint32(first << 24)
    clipped, total = np.zeros(len(rest), np.int16), np.zeros(len(rest), np.int32)
    for i, table in enumerate(tables):
        if i >= 4:
            y = [*y[1:], y[0] ^ SBOX[y[3]] ^ fed[i]]
        step = table.astype(np.int16)[y[min(i, 3)]]
        clipped = np.minimum(clipped + step, 127)
        total += step
        keep = clipped >= 0
        y, states, clipped, total = [part[keep] for part in y], states[keep], clipped[keep], total[keep]
    return dict(zip(states.tolist(), total.tolist(), strict=True))


def test_the_search_finds_what_a_scan_finds():
    """With and without AVX-512."""
    rng = np.random.default_rng(8)
    tables = np.clip(rng.normal(-0.5 * UNIT, 3 * UNIT, (12, 256)), -128, 127).astype(np.int8)
    tables[0] = np.maximum(tables[0], 0)  # else nothing begins
    tables[1, 9:] = -128  # nine values go on, so that the scan is short
    tables[1, :9] = 5
    expected = _scan(tables, 1, 60, 7)
    assert len(expected) > 300
    for portable in (False, True):
        found = search(tables, 1, 60, 300, range(7, 8), portable)
        assert (found.candidates, found.survivors) == (1 << 24, len(expected))
        states = found.states.copy().view(">u4").ravel().tolist()
        assert found.scores.tolist() == sorted(expected.values(), reverse=True)[:300]
        assert [expected[state] for state in states] == found.scores.tolist()


def test_parts_of_a_search_merge_to_the_whole():
    tables = np.random.default_rng(3).integers(-8, 7, (10, 256)).astype(np.int8)
    tables[:2] = abs(tables[:2])
    whole = search(tables, 0, 9, 50, range(2))
    parts = merge([search(tables, 0, 9, 50, range(at, at + 1)) for at in range(2)], 50)
    assert (parts.scores == whole.scores).all()
    assert (parts.candidates, parts.survivors) == (whole.candidates, whole.survivors)
