"""The key check, recomputed from what docs/security.md says."""

from hashlib import sha256

import pytest

from deeplock.pymodel.lock.key_check import key_check, passes

KEY = bytes(range(32))


@pytest.mark.parametrize("size", [16, 24, 32])
def test_it_is_a_fresh_salt_and_the_documented_hash(size):
    first, second = key_check(KEY[:size]), key_check(KEY[:size])
    assert first[:16] != second[:16]
    for check in (first, second):
        assert check[16:] == sha256(b"deeplock key check" + check[:16] + KEY[:size]).digest()[:4]
        assert passes(check, KEY[:size])


def test_another_key_and_a_changed_check_do_not_pass():
    check = key_check(KEY)
    assert not passes(check, KEY[:16]) and not passes(check, KEY[::-1]) and not passes(check, b"")
    for bit in range(8 * len(check)):
        changed = bytearray(check)
        changed[bit // 8] ^= 1 << bit % 8
        assert not passes(bytes(changed), KEY)
    assert not passes(check[:-1], KEY) and not passes(b"", KEY)
