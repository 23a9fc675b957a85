"""All 1,089 vectors of tinyjambu128v2 that NIST published with the finalists (LWC_AEAD_KAT_128_96.txt).

They have one key and one nonce. Plain text and associated data are the first 0 to 32 bytes of TEXT, and the vector's number is
1 + 33 * (bytes of plain text) + (bytes of associated data). The ciphertext of a shorter plain text is the beginning of
the longest one's. So the file beside this one has the 33 ciphertexts of the whole TEXT, and then the tags by number. It was
copied by hand; in seven places it differed from the model at first. One was then read again at the source, the other six
were corrected from the page as it had been read, so these six values are less sure than the others.
"""

from pathlib import Path

__all__ = ["KEY", "NONCE", "SIZE", "TEXT", "sealed"]

SIZE = 32
TEXT = bytes(range(SIZE))
KEY, NONCE = TEXT[:16], TEXT[:12]

_VALUES = [bytes.fromhex(value) for value in Path(__file__).with_name("tinyjambu_128_v2.txt").read_text().split()]
_CIPHERTEXTS, _TAGS = _VALUES[: SIZE + 1], _VALUES[SIZE + 1 :]


def sealed(plain: int, associated: int) -> tuple[bytes, bytes]:
    """Ciphertext and tag of so many bytes of plain text and of associated data."""
    return _CIPHERTEXTS[associated][:plain], _TAGS[(SIZE + 1) * plain + associated]
