"""The signature that the ciphers share."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout

__all__ = ["CipherSignature"]


def CipherSignature(bytes_per_word: int, tag_bits: int) -> wiring.Signature:
    """Opens a message, or authenticates one in clear, and makes its tag. A message is at least one word.

    No handshake, `done` or cycle depends on the key, the nonce or a message's bytes. Byte 0 is always in the lowest bits.

    Members:
        start          pulse: a message begins; whatever was before is dropped
        key, nonce     stable from `start` to `done`
        absorb         stable like them. 1: the message is associated data, which passes unchanged. 0: it is a ciphertext
        inlet, outlet  words of the message, `last` with its last one
        done           pulse: `tag` is there
        tag            stable from `done` to the next `start` or `clear`; the caller compares it, and nothing but that
        clear          drop the message; all registers that hold key, state or tag read 0 in the next cycle. Overrides `start`
    """
    words = stream.Signature(beat_layout(bytes_per_word))
    return wiring.Signature(
        {
            "start": In(1),
            "key": In(128),
            "nonce": In(128),
            "absorb": In(1),
            "inlet": In(words),
            "outlet": Out(words),
            "done": Out(1),
            "tag": Out(tag_bits),
            "clear": In(1),
        }
    )
