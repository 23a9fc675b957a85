import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.ciphers.ascon import open, seal
from tests.pymodel.lock.ciphers.ascon_vectors import KEY, KNOWN_ANSWERS, NONCE, VECTORS, associated, plain


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


@pytest.mark.parametrize("run", [seal, open])
def test_other_sizes_of_key_and_nonce_are_refused(run):
    with pytest.raises(DeeplockError, match="^key must be 16 bytes, not 15$"):
        run(bytes(15), NONCE, b"", b"")
    with pytest.raises(DeeplockError, match="^nonce must be 16 bytes, not 12$"):
        run(KEY, bytes(12), b"", b"")
