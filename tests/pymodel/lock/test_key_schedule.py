import time

import numpy as np
import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import KEY_SIZES, expand_key, expand_keys
from deeplock.pymodel.lock.sbox import SBOX

# FIPS-197 appendix A.1, A.2, A.3: every word of the expanded key, w0 first.
FIPS_197 = [
    """
    2b7e1516 28aed2a6 abf71588 09cf4f3c a0fafe17 88542cb1 23a33939 2a6c7605 f2c295f2 7a96b943 5935807a 7359f67f
    3d80477d 4716fe3e 1e237e44 6d7a883b ef44a541 a8525b7f b671253b db0bad00 d4d1c6f8 7c839d87 caf2b8bc 11f915bc
    6d88a37a 110b3efd dbf98641 ca0093fd 4e54f70e 5f5fc9f3 84a64fb2 4ea6dc4f ead27321 b58dbad2 312bf560 7f8d292f
    ac7766f3 19fadc21 28d12941 575c006e d014f9a8 c9ee2589 e13f0cc8 b6630ca6
    """,
    """
    8e73b0f7 da0e6452 c810f32b 809079e5 62f8ead2 522c6b7b fe0c91f7 2402f5a5 ec12068e 6c827f6b 0e7a95b9 5c56fec2
    4db7b4bd 69b54118 85a74796 e92538fd e75fad44 bb095386 485af057 21efb14f a448f6d9 4d6dce24 aa326360 113b30e6
    a25e7ed5 83b1cf9a 27f93943 6a94f767 c0a69407 d19da4e1 ec1786eb 6fa64971 485f7032 22cb8755 e26d1352 33f0b7b3
    40beeb28 2f18a259 6747d26b 458c553e a7e1466c 9411f1df 821f750a ad07d753 ca400538 8fcc5006 282d166a bc3ce7b5
    e98ba06f 448c773c 8ecc7204 01002202
    """,
    """
    603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4 9ba35411 8e6925af a51a8b5f 2067fcde
    a8b09c1a 93d194cd be49846e b75d5b9a d59aecb8 5bf3c917 fee94248 de8ebe96 b5a9328a 2678a647 98312229 2f6c79b3
    812c81ad dadf48ba 24360af2 fab8b464 98c5bfc9 bebd198e 268c3ba7 09e04214 68007bac b2df3316 96e939e4 6c518d80
    c814e204 76a9fb8a 5025c02d 59c58239 de136967 6ccc5a71 fa256395 9674ee15 5886ca5d 2e2f31d7 7e0af1fa 27cf73c3
    749c47ab 18501dda e2757e4f 7401905a cafaaae3 e4d59b34 9adf6ace bd10190d fe4890d1 e6188d0b 046df344 706c631e
    """,
]
VECTORS = [bytes.fromhex(words) for words in FIPS_197]


def multiply(a: int, b: int) -> int:
    """Product in GF(2^8) of FIPS-197, by shift and add."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in reversed(range(8, 15)):
        if product >> bit & 1:
            product ^= 0x11B << (bit - 8)
    return product


def fips_197_words(key: bytes, count: int) -> list[bytes]:
    """The pseudo-code of FIPS-197 figure 11, word by word, with no end."""
    size = len(key) // 4
    words = [key[4 * i : 4 * i + 4] for i in range(size)]
    rcon = 1
    for i in range(size, count):
        word = words[i - 1]
        if i % size == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ rcon]) + word[1:]
            rcon = multiply(rcon, 2)
        elif size == 8 and i % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[i - size], word, strict=True)))
    return words


def encrypt(round_keys: np.ndarray, block: bytes) -> bytes:
    """AES encryption (FIPS-197 section 5.1) out of ready round keys, uint8 [rounds + 1, 16]."""
    state = np.frombuffer(block, np.uint8) ^ round_keys[0]
    shift_rows = np.array([(i + 4 * (i % 4)) % 16 for i in range(16)])
    for number, round_key in enumerate(round_keys[1:], 1):
        state = SBOX[state][shift_rows]
        if number < len(round_keys) - 1:
            columns = state.reshape(4, 4)
            state = np.array(
                [
                    multiply(2, int(c[i]))
                    ^ multiply(3, int(c[(i + 1) % 4]))
                    ^ int(c[(i + 2) % 4])
                    ^ int(c[(i + 3) % 4])
                    for c in columns
                    for i in range(4)
                ],
                np.uint8,
            )
        state = state ^ round_key
    return state.tobytes()


@pytest.mark.parametrize("key_size, expanded", list(zip(KEY_SIZES, VECTORS, strict=True)))
def test_stream_starts_with_the_expanded_key_of_the_standard(key_size, expanded):
    assert len(expanded) == 16 * (key_size // 4 + 7)
    assert expand_key(expanded[:key_size], len(expanded)).tobytes() == expanded


@pytest.mark.parametrize("key_size", KEY_SIZES)
def test_round_keys_encrypt_like_another_aes(key_size):
    rng = np.random.default_rng(key_size)
    for _ in range(5):
        key, block = rng.bytes(key_size), rng.bytes(16)
        round_keys = expand_key(key, 16 * (key_size // 4 + 7)).reshape(-1, 16)
        assert encrypt(round_keys, block) == AES.new(key, AES.MODE_ECB).encrypt(block)


@pytest.mark.parametrize("key_size", KEY_SIZES)
def test_stream_goes_on_past_the_last_round_key_and_the_period_of_rcon(key_size):
    key = np.random.default_rng(key_size).bytes(key_size)
    words = fips_197_words(key, 60 * key_size // 4)  # 60 round constants, which repeat after 51
    assert expand_key(key, 60 * key_size).tobytes() == b"".join(words)


@given(st.sampled_from(KEY_SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size)), st.integers(0, 300))
def test_shorter_stream_is_a_prefix(key, length):
    stream = expand_key(key, length)
    assert stream.shape == (length,) and stream.dtype == np.uint8
    assert (stream == expand_key(key, 300)[:length]).all()


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
@pytest.mark.parametrize("key_size", KEY_SIZES)
def test_many_keys_give_what_each_gives_alone(key_size, count):
    keys = np.random.default_rng(count).integers(0, 256, (count, key_size), np.uint8)
    for length in (0, 1, 16, 4095, 20_001):
        streams = expand_keys(keys, length)
        assert streams.shape == (count, length) and streams.dtype == np.uint8
        for key, stream in zip(keys, streams, strict=True):
            assert (stream == expand_key(key.tobytes(), length)).all()


def test_five_megabytes_take_seconds():
    start = time.process_time()
    expand_key(bytes(16), 5_000_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("size", [0, 15, 17, 33])
def test_other_key_sizes_are_refused(size):
    message = f"^key must be 16, 24 or 32 bytes, not {size}$"
    with pytest.raises(DeeplockError, match=message):
        expand_key(bytes(size), 16)
    with pytest.raises(DeeplockError, match=message):
        expand_keys(np.zeros((2, size), np.uint8), 16)
