"""Ascon-AEAD128 in hardware, opening messages: a round a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout
from deeplock.pymodel.lock.ciphers.ascon import BLOCK, IV, ROTATIONS, ROUNDS, SEPARATION, permute

__all__ = ["Ascon"]

_LAST = ROUNDS["outer"] - 1
_INNER = ROUNDS["outer"] - ROUNDS["inner"]
"""Rounds are numbered from 0 to 11; the shorter permutation begins with round 4."""

_FLAGS = ("stops", "take", "block", "pads", "closes", "final", "at_last", "step")


class _State(enum.Enum, shape=3):
    IDLE = 0
    LOAD = 1
    INIT = 2  # the first permutation
    WORDS = 3  # takes words; with a block's last one the first round after it
    ROUNDS = 4  # the others
    PAD = 5  # the padding is added, with the first round after it
    FINAL = 6  # the others of the last permutation


def _round(x: Sequence[Value], constant: Value) -> list[Value]:
    """One round: constant, S-box, linear layer."""
    x0, x1, x2, x3, x4 = x
    a0, a1, a2, a3, a4 = x0 ^ x4, x1, x2 ^ x1 ^ constant, x3, x4 ^ x3
    chi = [a0 ^ (~a1 & a2), a1 ^ (~a2 & a3), a2 ^ (~a3 & a4), a3 ^ (~a4 & a0), a4 ^ (~a0 & a1)]
    s = [chi[0] ^ chi[4], chi[1] ^ chi[0], ~chi[2], chi[3] ^ chi[2], chi[4]]
    return [v ^ v.rotate_right(a) ^ v.rotate_right(b) for v, (a, b) in zip(s, ROTATIONS, strict=True)]


def _halves(value: Value) -> list[Value]:
    return [value[:64], value[64:]]


def _if(flag: Value, value: Value) -> Value:
    """`value` while `flag` is 1, else 0: added with XOR, one LUT a bit for flag, value and two bits more."""
    return value & flag.replicate(len(value))


class Ascon(wiring.Component):
    """Opens a message, or lets associated data through, and computes the tag (NIST SP 800-232; pymodel.lock.ciphers.ascon).

    A round a cycle. A block's words but the last are held beside the state until that one comes, and the state takes the whole
    block in front of its first round. Whatever else is added has its place in front of a round (the last permutation's key,
    padding) or behind one (all else), where a LUT has an input left. What is loaded in the beginning is added behind a round of
    the zero state.

    Latency: 0 cycles from a word to the same word opened; 14 from `start` to the first word that is taken; from the last word to
    `done` 20 for a message whose last block is full, 13 for another, 8 more for associated data.
    Throughput: 16 bytes in 7 + 16 / bytes_per_beat cycles. No cycle and no handshake depends on key, nonce or data.

    Arguments
    ---------
    bytes_per_beat : 4 | 8 | 16
        Bytes of a word.

    Members
    -------
    start : In(1)
        Begin a message, whatever went before; what was inside is lost.
    key, nonce : In(128)
        Byte 0 in bits 0..7; stable from `start` to `done`.
    absorb : In(1)
        1: the message is associated data, which passes unchanged; 0: it is ciphertext. Stable like the key.
    inlet : In(stream of beat_layout(bytes_per_beat))
        At least one word; `last` ends the message.
    outlet : Out(stream of beat_layout(bytes_per_beat))
        Nothing may use the words before the tag has been compared.
    done : Out(1)
        Pulse: the tag is there.
    tag : Out(128)
        Stable from `done` to the next `start` or `clear`; something else at other times.
    clear : In(1)
        Stop and zeroise: all registers read 0 in the next cycle. Overrides `start`.

    Raises
    ------
    ValueError
        For another number of bytes.
    """

    def __init__(self, bytes_per_beat: int):
        if bytes_per_beat not in (4, 8, 16):
            raise ValueError(f"bytes_per_beat must be 4, 8 or 16, not {bytes_per_beat}")
        self._width = 8 * bytes_per_beat
        self._words = BLOCK // bytes_per_beat  # of a block
        words = stream.Signature(beat_layout(bytes_per_beat))
        super().__init__(
            {
                "start": In(1),
                "key": In(128),
                "nonce": In(128),
                "absorb": In(1),
                "inlet": In(words),
                "outlet": Out(words),
                "done": Out(1),
                "tag": Out(128),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width, words = self._width, self._words
        inlet, outlet, absorb = self.inlet, self.outlet, self.absorb
        x = [Signal(64, name=f"x{i}") for i in range(5)]
        held = [Signal(width, name=f"held_{i}") for i in range(words - 1)]
        state, number, part = Signal(_State), Signal(4), Signal(range(words))
        ended = Signal()  # the last word is inside
        padded = Signal()  # and so is the padding of associated data

        stops, take, block, pads, closes, final, at_last, step = (Signal(name=name) for name in _FLAGS)
        m.d.comb += [
            stops.eq(self.start | self.clear),
            outlet.valid.eq(inlet.valid & (state == _State.WORDS) & ~stops),
            inlet.ready.eq(outlet.ready & (state == _State.WORDS) & ~stops),
            take.eq(inlet.valid & inlet.ready),
            block.eq(take & (part == words - 1)),
            pads.eq(state == _State.PAD),
            closes.eq(~absorb | padded),
            final.eq(pads & closes),
            at_last.eq(number == _LAST),
            step.eq(block | ((state != _State.IDLE) & (state != _State.WORDS))),
        ]

        # words: each where it stands in the block
        rate, here = Cat(x[:2]), [part == i for i in range(words)]
        absorbed, shown = [], Const(0, width)
        for i in range(words):
            mine = rate.word_select(i, width)
            word, taken = inlet.payload.data, block
            if i < words - 1:
                with m.If(take & here[i]):
                    m.d.sync += held[i].eq(word)
                word, taken = held[i], block | (pads & (part > i))
            absorbed.append(_if(~taken | absorb, mine) ^ _if(taken, word) ^ _if(pads & here[i], Const(1, width)))
            shown |= _if(here[i] & ~absorb, mine)
        m.d.comb += [
            outlet.payload.data.eq(inlet.payload.data ^ shown),
            outlet.payload.last.eq(inlet.payload.last),
        ]

        # the state
        key, nonce = _halves(self.key), _halves(self.nonce)
        loads, keyed = state == _State.LOAD, at_last & ((state == _State.INIT) | (state == _State.FINAL))
        front = [
            *_halves(Cat(absorbed)),
            x[2] ^ _if(final, key[0]),
            x[3] ^ _if(final, key[1]),
            x[4] ^ _if(final & absorb, Const(SEPARATION, 64)),
        ]
        zero = permute((0, 0, 0, 0, 0), 1)
        first = (Const(IV, 64), *key, *nonce)
        behind = [_if(loads, value ^ constant) for value, constant in zip(first, zero, strict=True)]
        behind[3] |= _if(keyed, key[0])
        behind[4] |= _if(keyed, key[1] ^ _if((state == _State.INIT) & ~absorb, Const(SEPARATION, 64)))
        with m.If(stops):
            m.d.sync += Cat(x).eq(0)
        with m.Elif(step):
            m.d.sync += [a.eq(b ^ c) for a, b, c in zip(x, _round(front, Cat(number, ~number)), behind, strict=True)]
        m.d.comb += self.tag.eq(Cat(x[3:]))

        # the order of things
        m.d.sync += self.done.eq(0)
        with m.If(step):
            m.d.sync += number.eq(Mux(at_last, _INNER, number + 1))
        with m.Switch(state):
            with m.Case(_State.LOAD):
                m.d.sync += [state.eq(_State.INIT), number.eq(0)]
            with m.Case(_State.INIT):
                with m.If(at_last):
                    m.d.sync += state.eq(_State.WORDS)
            with m.Case(_State.WORDS):
                with m.If(take):
                    m.d.sync += [part.eq(part + 1), ended.eq(inlet.payload.last)]
                    with m.If(block):
                        m.d.sync += state.eq(_State.ROUNDS)
                    with m.Elif(inlet.payload.last):
                        m.d.sync += [state.eq(_State.PAD), number.eq(Mux(closes, 0, _INNER))]
            with m.Case(_State.ROUNDS):
                with m.If(at_last):
                    m.d.sync += state.eq(_State.WORDS)
                    with m.If(ended):
                        m.d.sync += [state.eq(_State.PAD), number.eq(Mux(closes, 0, _INNER))]
            with m.Case(_State.PAD):
                m.d.sync += [state.eq(Mux(closes, _State.FINAL, _State.ROUNDS)), part.eq(0), padded.eq(1)]
            with m.Case(_State.FINAL):
                with m.If(at_last):
                    m.d.sync += [state.eq(_State.IDLE), self.done.eq(1)]
        with m.If(stops):
            m.d.sync += [state.eq(_State.LOAD), number.eq(_LAST), part.eq(0), ended.eq(0), padded.eq(0), self.done.eq(0)]
        with m.If(self.clear):
            m.d.sync += [state.eq(_State.IDLE), number.eq(0), Cat(held).eq(0)]
        return m
