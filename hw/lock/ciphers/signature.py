"""The signature that the ciphers share."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout

__all__ = ["CipherSignature"]


def CipherSignature(bytes_per_beat: int, nonce_in_words: bool = False) -> wiring.Signature:
    """Opens a message, or authenticates one in clear, and checks its tag. Byte 0 is always in the lowest bits.

    The words of a message, at least one, are followed by those of its tag, a fixed number: the component's `tag_words`. What
    leaves for a word of the tag is 0 exactly if that word is right. After the tag no word is taken until the next `start`.

    Nothing may act on a message before all words of its tag have left as 0. No handshake and no cycle depends on the key, the
    nonce or what the words are.

    Members:
        start          pulse: a message begins; whatever was before is dropped
        key, nonce     stable from `start` until the tag is taken
        nonce_at       if `nonce_in_words`: `nonce` is the one of its words of 32 bits that had this number a cycle ago, or 0 if
                       it has none of that number. So a memory can hold it
        absorb         stable like them. 1: the message is associated data, which passes unchanged. 0: it is a ciphertext
        inlet, outlet  words; `last` with the message's last one. It passes unchanged, and with a tag's words means nothing
        clear          drop the message; all registers that hold key or state read 0 in the next cycle. Overrides `start`

    Raises ValueError for words that are not of 4, 8 or 16 bytes.
    """
    if bytes_per_beat not in (4, 8, 16):
        raise ValueError(f"bytes_per_beat must be 4, 8 or 16, not {bytes_per_beat}")
    words = stream.Signature(beat_layout(bytes_per_beat))
    return wiring.Signature(
        {
            "start": In(1),
            "key": In(128),
            **({"nonce": In(32), "nonce_at": Out(2)} if nonce_in_words else {"nonce": In(128)}),
            "absorb": In(1),
            "inlet": In(words),
            "outlet": Out(words),
            "clear": In(1),
        }
    )
