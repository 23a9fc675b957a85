import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.ciphers import acorn

ZERO = bytes(16)
KEY, NONCE = bytes(range(16)), bytes(range(0, 48, 3))

# The five vectors of the specification (v3, CAESAR): key, nonce, associated data, plain text, ciphertext, tag.
VECTORS = [
    (ZERO, ZERO, b"", b"", "", "835e5317896e86b2447143c74f6ffc1e"),
    (ZERO, ZERO, b"", b"\x01", "2b", "4b60640e26f0a99dd01f93bf634997cb"),
    (ZERO, ZERO, b"\x01", b"", "", "982ef7d1bba7f89a1575297a095cd7f2"),
    (
        *(KEY, NONCE, b"\x01" * 16, b"\x01" * 16),
        "86801fa89e33d99235dd4d1a72ce001a",
        "d9c66b4adb3cde073e6350cc7e237e01",
    ),
    (
        *(KEY, NONCE, bytes(5 * i & 255 for i in range(39)), bytes(7 * i & 255 for i in range(73))),
        "e7ef316378444644705c4381c888833b6d62a749005ab8fa146a85904d5e5ab77c57582158395d8f"
        "e6b666e6c85177648aeb7784cf2eeaed3c22e7e96bf59009cd7ad21ba5df1a0fc0",
        "51b4bd86c68ccf0682f5695d2667d535",
    ),
]


FEEDBACK = ((289, 235, 230), (230, 196, 193), (193, 160, 154), (154, 111, 107), (107, 66, 61), (61, 23, 0))
BLOCK, MESSAGE = st.binary(min_size=16, max_size=16), st.binary(max_size=50)


def majority(x: int, y: int, z: int) -> int:
    return x & y ^ x & z ^ y & z


def seal_bitwise(key: bytes, nonce: bytes, associated: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """As the specification writes it, one step at a time."""
    s = [0] * 293

    def step(message: int, ca: int, cb: int) -> int:
        nonlocal s
        for place, first, second in FEEDBACK:
            s[place] ^= s[first] ^ s[second]
        key_stream = s[12] ^ s[154] ^ majority(s[235], s[61], s[193]) ^ (s[111] if s[230] else s[66])
        feedback = s[0] ^ s[107] ^ 1 ^ majority(s[244], s[23], s[160]) ^ ca & s[196] ^ cb & key_stream
        s = [*s[1:], feedback ^ message]
        return key_stream

    def byte(value: int, ca: int, cb: int) -> int:
        return sum(step(value >> i & 1, ca, cb) << i for i in range(8))

    def pad(cb: int) -> None:
        for i in range(32):
            byte(i == 0, i < 16, cb)

    for i, value in enumerate(key + nonce + 12 * key):
        byte(value ^ (i == 32), 1, 1)
    for value in associated:
        byte(value, 1, 1)
    pad(1)
    ciphertext = bytes(value ^ byte(value, 1, 0) for value in plain)
    pad(0)
    return ciphertext, bytes(byte(0, 1, 1) for _ in range(96))[-16:]


@pytest.mark.parametrize("seal", [acorn.seal, seal_bitwise])
@pytest.mark.parametrize("key, nonce, associated, plain, ciphertext, tag", VECTORS)
def test_published_vectors(seal, key, nonce, associated, plain, ciphertext, tag):
    expected = bytes.fromhex(ciphertext), bytes.fromhex(tag)
    assert seal(key, nonce, associated, plain) == expected
    assert acorn.open(key, nonce, associated, expected[0]) == (plain, expected[1])


@given(BLOCK, BLOCK, MESSAGE, MESSAGE)
def test_any_message_is_sealed_as_bit_by_bit_and_opened(key, nonce, associated, plain):
    ciphertext, tag = acorn.seal(key, nonce, associated, plain)
    assert (ciphertext, tag) == seal_bitwise(key, nonce, associated, plain)
    assert acorn.open(key, nonce, associated, ciphertext) == (plain, tag)


@pytest.mark.parametrize("function", [acorn.seal, acorn.open])
def test_wrong_lengths_are_refused(function):
    with pytest.raises(DeeplockError, match="^key must be 16 bytes, not 15$"):
        function(KEY[1:], NONCE, b"", b"")
    with pytest.raises(DeeplockError, match="^nonce must be 16 bytes, not 12$"):
        function(KEY, NONCE[:12], b"", b"")
