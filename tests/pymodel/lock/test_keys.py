import hashlib
import hmac
from itertools import product

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keys import suite_key

KEY = bytes(range(16))


@pytest.mark.parametrize(("name", "purpose"), [*product(("acorn", "ascon", "tinyjambu"), ("device", "model"))])
def test_the_key_of_a_suite_that_seals_is_that_of_rfc_5869(name, purpose):
    """Extract with a salt of zeros, expand with the suite and the purpose: by hand."""
    pseudorandom = hmac.digest(bytes(32), KEY, hashlib.sha256)
    expected = hmac.digest(pseudorandom, f"deeplock {name} {purpose}".encode() + b"\x01", hashlib.sha256)[:16]
    assert suite_key(KEY, name, purpose) == expected


def test_no_two_suites_and_no_two_purposes_share_a_key():
    suites, purposes = ("acorn", "ascon", "tinyjambu", "deep-lock"), ("device", "model")
    keys = {suite_key(KEY, name, purpose) for name in suites for purpose in purposes}
    assert len(keys) == 7 and KEY in keys  # the paper's suite takes the key as it is


def test_a_key_that_the_suite_does_not_take_is_refused():
    with pytest.raises(DeeplockError, match="key must be 16 bytes, not 32"):
        suite_key(bytes(32), "acorn", "model")
