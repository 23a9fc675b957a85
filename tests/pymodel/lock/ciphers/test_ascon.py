import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.lock.ciphers.ascon import open, seal

KEY, NONCE = bytes(range(0x00, 0x10)), bytes(range(0x10, 0x20))


def plain(size: int) -> bytes:
    return bytes(range(0x20, 0x20 + size))


def associated(size: int) -> bytes:
    return bytes(range(0x30, 0x30 + size))


# Known answers of Ascon-AEAD128, as the designers publish them with their reference (ascon-c, crypto_aead/asconaead128,
# LWC_AEAD_KAT_128_128.txt): the bytes of associated data, those of the message, ciphertext and tag.
VECTORS = [
    (0, 0, "4f9c278211bec9316bf68f46ee8b2ec6"),
    (1, 0, "cccb674fe18a09a285d6ab11b35675c0"),
    (2, 0, "f65b191550c4df9cfdd4460ebbcca782"),
    (8, 0, "865c594093a9edee2c1d6384ccb4939e"),
    (9, 0, "24f13284a0f90f906b18c7e4061c0896"),
    (15, 0, "759102a6953861627aae1836d003a294"),
    (16, 0, "e4230cdb8330ee9dc0cfd7c7b346e6dc"),
    (17, 0, "bd8851cd3af9847844839a791dd70e8c"),
    (0, 1, "e8 dd576aba1cd3e6fc704de02aedb79588"),
    (1, 1, "96 2b8016836c75a7d86866588ca245d886"),
    (0, 8, "e8c3deee246cc5ea e455ef6b33b782a3dd91ed6695373c27"),
    (0, 9, "e8c3deee246cc5eae3 329bc950ae101b9247f3605ebedcbf6c"),
    (0, 15, "e8c3deee246cc5eae3e872313897a2 83aecc1da0834a52940ec4bfcddb6404"),
    (0, 16, "e8c3deee246cc5eae3e872313897a2bb 9eaa915c9dd3245d77048f24d46d27a7"),
    (0, 17, "e8c3deee246cc5eae3e872313897a2bb60 301002539d456275dd0b0ceab3b23844"),
    (0, 32, "e8c3deee246cc5eae3e872313897a2bb6089aa3e15e80307970f2d1f006654c2 aaa5fa172cb9f07d07463cefc7440bc1"),
    (25, 30, "16cb13e5853541e2f36b38240366acee48e0b21d8a3424739fcd62ac2dde b2d36a792ba208d4158cdf4e968fa99f"),
    (32, 32, "cb34d04660a66dbfbe9c856601f5b8aa51a499b55ac8f7fbefbc331a613ee9cd fd191750a47f211c0a15ed28173d7caa"),
]

KNOWN_ANSWERS = "bbbc34692fe05e5fda0a3b025585622ab3e3747495e5e3655b29aae8c2a4bd33"
"""SHA-256 of the whole file of known answers, as projects that keep a copy of it publish it."""


@pytest.mark.parametrize("ad_size, size, sealed", VECTORS)
def test_known_answers(ad_size, size, sealed):
    ciphertext, tag = bytes.fromhex(sealed)[:size], bytes.fromhex(sealed)[size:]
    assert seal(KEY, NONCE, associated(ad_size), plain(size)) == (ciphertext, tag)
    assert open(KEY, NONCE, associated(ad_size), ciphertext) == (plain(size), tag)


def test_all_1089_known_answers():
    """The designers' file, written anew: each of 0 to 32 bytes of message with each of 0 to 32 of associated data."""
    text, count = "", 0
    for size in range(33):
        for ad_size in range(33):
            count += 1
            ciphertext, tag = seal(KEY, NONCE, associated(ad_size), plain(size))
            fields = {"Key": KEY, "Nonce": NONCE, "PT": plain(size), "AD": associated(ad_size), "CT": ciphertext + tag}
            text += "".join([f"Count = {count}\n", *(f"{k} = {v.hex().upper()}\n" for k, v in fields.items()), "\n"])
            assert open(KEY, NONCE, associated(ad_size), ciphertext) == (plain(size), tag)
    assert count == 1089
    assert hashlib.sha256(text.encode()).hexdigest() == KNOWN_ANSWERS


@given(st.binary(max_size=70), st.binary(max_size=70), st.data())
def test_opened_is_what_was_sealed_and_any_changed_bit_changes_the_tag(ad, message, draw):
    ciphertext, tag = seal(KEY, NONCE, ad, message)
    assert open(KEY, NONCE, ad, ciphertext) == (message, tag)
    given = {"key": KEY, "nonce": NONCE, "associated": ad, "ciphertext": ciphertext}
    name = draw.draw(st.sampled_from([name for name, value in given.items() if value]))
    bit = draw.draw(st.integers(0, 8 * len(given[name]) - 1))
    changed = int.from_bytes(given[name], "little") ^ 1 << bit
    assert open(**given | {name: changed.to_bytes(len(given[name]), "little")})[1] != tag


@given(st.binary(max_size=70), st.data())
def test_data_cut_short_or_moved_to_the_other_side_changes_the_tag(data, draw):
    """Padding and domains: no two of these messages have the same tag."""
    cut = draw.draw(st.integers(0, len(data)))
    tags = {open(KEY, NONCE, data[:i], data[i:])[1] for i in {0, cut, len(data)}}
    assert len(tags) == len({0, cut, len(data)})
    assert all(open(KEY, NONCE, b"", data[:i])[1] not in tags for i in {cut} - {len(data)})


def test_a_hundred_kilobytes_take_less_than_a_second():
    start = time.process_time()
    seal(KEY, NONCE, b"", bytes(100_000))
    assert time.process_time() - start < 1


@pytest.mark.parametrize("run", [seal, open])
def test_other_sizes_of_key_and_nonce_are_refused(run):
    with pytest.raises(ValueError, match="^key must be 16 bytes, not 15$"):
        run(bytes(15), NONCE, b"", b"")
    with pytest.raises(ValueError, match="^nonce must be 16 bytes, not 12$"):
        run(KEY, bytes(12), b"", b"")
