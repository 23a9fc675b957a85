from itertools import product

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.ciphers import tinyjambu
from tests.pymodel.lock.ciphers.tinyjambu_vectors import KEY, NONCE, SIZE, TEXT, sealed


def test_all_published_vectors():
    """Both ways: 1,089 vectors."""
    for plain, associated in product(range(SIZE + 1), repeat=2):
        ciphertext, tag = sealed(plain, associated)
        about = (KEY, NONCE, TEXT[:associated])
        assert tinyjambu.seal(*about, TEXT[:plain]) == (ciphertext, tag), (plain, associated)
        assert tinyjambu.open(*about, ciphertext) == (TEXT[:plain], tag), (plain, associated)


@pytest.mark.parametrize("function", [tinyjambu.seal, tinyjambu.open])
def test_wrong_lengths_are_refused(function):
    with pytest.raises(DeeplockError, match="^key must be 16 bytes, not 15$"):
        function(KEY[1:], NONCE, b"", b"")
    with pytest.raises(DeeplockError, match="^nonce must be 12 bytes, not 16$"):
        function(KEY, KEY, b"", b"")
