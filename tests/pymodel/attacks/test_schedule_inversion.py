import numpy as np
import pytest

from deeplock.pymodel.attacks.schedule_inversion import invert_schedule
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import expand_key

# FIPS-197 appendix A.1: the key and words 40..43 of its expansion
KEY = "2b7e151628aed2a6abf7158809cf4f3c"
LAST_ROUND_KEY = "d014f9a8c9ee2589e13f0cc8b6630ca6"


def test_the_standards_last_round_key_gives_the_key():
    assert invert_schedule(np.frombuffer(bytes.fromhex(LAST_ROUND_KEY), np.uint8), 160).hex() == KEY


@pytest.mark.parametrize("size", [16, 24, 32])
def test_any_words_of_the_stream_give_the_key(size):
    rng = np.random.default_rng(size)
    for _ in range(20):
        key = rng.bytes(size)
        stream = expand_key(key, 20_000)  # past Rcon's period of 51 for every size
        for position in (0, 4, 20, size, int(rng.integers(0, 4_990)) * 4 - size):
            position = max(position, 0)
            assert invert_schedule(stream[position : position + size], position) == key


def test_one_wrong_byte_gives_another_key():
    key = bytes(range(16))
    known = expand_key(key, 1_000)[800:816].copy()
    known[5] ^= 1
    assert invert_schedule(known, 800) != key


def test_faults_are_named():
    with pytest.raises(DeeplockError, match="^key must be 16, 24 or 32 bytes, not 15$"):
        invert_schedule(np.zeros(15, np.uint8), 0)
    with pytest.raises(DeeplockError, match="^position in the key stream must be a multiple of 4, not 6$"):
        invert_schedule(np.zeros(16, np.uint8), 6)
