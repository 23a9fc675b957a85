"""Ascon-AEAD128 in hardware, opening messages: a round a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring

from deeplock.hw.lock.ciphers.signature import CipherSignature
from deeplock.pymodel.lock.ciphers.ascon import BLOCK, IV, ROTATIONS, ROUNDS, SEPARATION, permute

__all__ = ["Ascon"]

_LAST = ROUNDS["outer"] - 1
_INNER = ROUNDS["outer"] - ROUNDS["inner"]
"""Rounds are numbered from 0 to 11; the shorter permutation begins with round 4."""


class _State(enum.Enum, shape=3):
    IDLE = 0
    LOAD = 1
    INIT = 2  # the first permutation
    WORDS = 3  # takes words; with a block's last one the first round after it
    ROUNDS = 4  # the others; with the last one the next block's first word may come
    PAD = 5  # the padding is added, with the first round after it
    FINAL = 6  # the others of the last permutation
    TAG = 7  # takes the tag's words


def _round(m: Module, x: Sequence[Value], constant: Value) -> list[Value]:
    """One round (sections 3.2 to 3.4): constant, S-box, linear layer."""
    a, s = ([Signal(64, name=f"{name}{i}") for i in range(5)] for name in ("before", "after"))
    sums = x[0] ^ x[4], x[1], x[2] ^ x[1] ^ constant, x[3], x[4] ^ x[3]
    m.d.comb += [signal.eq(value) for signal, value in zip(a, sums, strict=True)]
    # a[i] ^ ~b & c with b and c the next two, written so that Yosys needs the fewest LUTs
    chi = [a[i] ^ a[i - 3] ^ (a[i - 4] & a[i - 3]) for i in range(5)]
    outputs = chi[0] ^ chi[4], chi[1] ^ chi[0], ~chi[2], chi[3] ^ chi[2], chi[4]
    m.d.comb += [signal.eq(value) for signal, value in zip(s, outputs, strict=True)]
    return [v ^ v.rotate_right(i) ^ v.rotate_right(j) for v, (i, j) in zip(s, ROTATIONS, strict=True)]


def _halves(value: Value) -> list[Value]:
    return [value[:64], value[64:]]


def _if(flag: Value, value: Value) -> Value:
    """`value` if `flag`, else 0."""
    return value & flag.replicate(len(value))


class Ascon(wiring.Component):
    """Opens a message, or lets associated data through, and checks the tag (NIST SP 800-232; pymodel.lock.ciphers.ascon).

    Each cycle computes a round. All words of a block but the last wait beside the state; with the last one the state takes the
    whole block and computes the first round. A block's first word, if it is not the only one, passes in the last round before
    it already, and meets what that round gives. What a round has to add besides is added where a LUT has an input left: padding
    and the last permutation's key in front of the round, all else behind it. The initial state comes behind a round of zeros.

    Latency: a word leaves in the cycle in which it is taken. `start` to the first word: 14 cycles. Last word to the tag's
    first: 20 if it completes a block of a message, 13 if not; 8 more for associated data. Throughput: 16 bytes in
    8 cycles, or 10 with words of 4 bytes; the tag in 16 / bytes_per_beat.

    Members: see CipherSignature.

    bytes_per_beat  bytes of a word: 4, 8 or 16, else ValueError
    """

    def __init__(self, bytes_per_beat: int):
        super().__init__(CipherSignature(bytes_per_beat))
        self._width = 8 * bytes_per_beat
        self.tag_words = BLOCK // bytes_per_beat  # a tag has as many as a block

    def elaborate(self, platform) -> Module:
        m = Module()
        width, words = self._width, self.tag_words
        inlet, outlet, absorb = self.inlet, self.outlet, self.absorb
        x = [Signal(64, name=f"x{i}") for i in range(5)]
        held = [Signal(width, name=f"held_{i}") for i in range(words - 1)]
        state, number, part = Signal(_State), Signal(4), Signal(range(words))
        ended = Signal()  # the last word is inside
        padded = Signal()  # and so is the padding of associated data

        next_state, next_part = Signal(_State), Signal.like(part)
        # registers beside `state`, computed a cycle ahead, because the round behind them is long
        passes = Signal()  # words pass
        runs = Signal()  # each cycle computes a round
        early = Signal()  # a word that passes now meets the round
        full = Signal()  # a word taken now completes a block
        final = Signal()  # the last permutation begins
        # by word of the block: its bytes are added; the rate's are dropped, so that they replace these; it gets the padding
        takes, drops, pads = Signal(words), Signal(words), Signal(words)

        stops, take, step = Signal(), Signal(), Signal()
        opens, checks = Signal(), Signal()  # what a word is added to: the rate, or the tag
        passing = Signal()  # next state takes words
        next_early = Signal()
        at_last = Signal()  # round of a permutation
        closes = Signal()  # the next padding is that of the message
        m.d.comb += [
            stops.eq(self.start | self.clear),
            opens.eq((state == _State.WORDS) & ~absorb),
            checks.eq(state == _State.TAG),
            outlet.valid.eq(inlet.valid & passes & ~stops),
            inlet.ready.eq(outlet.ready & passes & ~stops),
            take.eq(inlet.valid & inlet.ready),
            step.eq(runs | (take & full)),
            closes.eq(~absorb | padded),
            at_last.eq(number == _LAST),
        ]
        completes, padding = Signal(), Signal()
        taking = Cat(completes | (padding & (next_part > i)) for i in range(words))
        m.d.comb += [
            passing.eq((next_state == _State.WORDS) | (next_state == _State.TAG)),
            next_early.eq((next_state == _State.ROUNDS) & (number == _LAST - 1) & ~ended & (words > 1)),
            completes.eq((next_state == _State.WORDS) & (next_part == words - 1)),
            padding.eq(next_state == _State.PAD),
        ]
        m.d.sync += [
            state.eq(next_state),
            part.eq(next_part),
            passes.eq(passing | next_early),
            early.eq(next_early),
            runs.eq((next_state != _State.IDLE) & ~passing),
            full.eq(completes),
            final.eq(padding & closes),
            takes.eq(taking),
            drops.eq(Mux(absorb, 0, taking)),
            pads.eq(Cat(padding & (next_part == i) for i in range(words))),
        ]

        # the rate: each word where it stands in the block
        rate, tag, here = Cat(x[:2]), Cat(x[3:]), [part == i for i in range(words)]
        absorbed, shown = [], Const(0, width)
        for i in range(words):
            mine = rate.word_select(i, width)
            word = inlet.payload.data
            if i < words - 1:
                with m.If(take & here[i]):
                    m.d.sync += held[i].eq(word)
                word = held[i]
            absorbed.append(_if(~drops[i], mine) ^ _if(takes[i], word) ^ pads[i])
            shown |= _if(here[i] & opens, mine) | _if(here[i] & checks, tag.word_select(i, width))
        rounded = [Signal(64, name=f"rounded_{i}") for i in range(5)]
        if words > 1:
            shown |= _if(early & ~absorb, rounded[0][:width])
        m.d.comb += [
            outlet.payload.data.eq(inlet.payload.data ^ shown),
            outlet.payload.last.eq(inlet.payload.last),
        ]

        # the state
        key, nonce = _halves(self.key), _halves(self.nonce)
        loads, keyed = state == _State.LOAD, at_last & ((state == _State.INIT) | (state == _State.FINAL))
        front = [Signal(64, name=f"front_{i}") for i in range(5)]
        sums = [
            *_halves(Cat(absorbed)),
            x[2] ^ _if(final, key[0]),
            x[3] ^ _if(final, key[1]),
            x[4] ^ _if(final & absorb, Const(SEPARATION, 64)),
        ]
        m.d.comb += [signal.eq(value) for signal, value in zip(front, sums, strict=True)]
        zero = permute((0, 0, 0, 0, 0), 1)
        first = (Const(IV, 64), *key, *nonce)
        behind = [_if(loads, value ^ constant) for value, constant in zip(first, zero, strict=True)]
        behind[3] |= _if(keyed, key[0])
        behind[4] |= _if(keyed, key[1] ^ _if((state == _State.INIT) & ~absorb, Const(SEPARATION, 64)))
        results = _round(m, front, Cat(number, ~number))
        m.d.comb += [signal.eq(value) for signal, value in zip(rounded, results, strict=True)]
        with m.If(stops):
            m.d.sync += Cat(x).eq(0)
        with m.Elif(step):
            m.d.sync += [to.eq(value ^ more) for to, value, more in zip(x, rounded, behind, strict=True)]

        # control
        m.d.comb += [next_state.eq(state), next_part.eq(part)]
        with m.If(step):
            m.d.sync += number.eq(Mux(at_last, _INNER, number + 1))
        with m.Switch(state):
            with m.Case(_State.LOAD):
                m.d.comb += next_state.eq(_State.INIT)
                m.d.sync += number.eq(0)
            with m.Case(_State.INIT):
                with m.If(at_last):
                    m.d.comb += next_state.eq(_State.WORDS)
            with m.Case(_State.ROUNDS):
                with m.If(at_last):
                    m.d.comb += next_state.eq(Mux(ended, _State.PAD, _State.WORDS))
                    m.d.sync += number.eq(Mux(ended & closes, 0, _INNER))
            with m.Case(_State.PAD):
                m.d.comb += [next_state.eq(Mux(final, _State.FINAL, _State.ROUNDS)), next_part.eq(0)]
                m.d.sync += padded.eq(1)
            with m.Case(_State.FINAL):
                with m.If(at_last):
                    m.d.comb += next_state.eq(_State.TAG)
            with m.Case(_State.TAG):
                with m.If(take):
                    m.d.comb += next_part.eq(part + 1)
                    with m.If(here[-1]):
                        m.d.comb += next_state.eq(_State.IDLE)
        with m.If(take & (state != _State.TAG)):
            m.d.comb += next_part.eq(part + 1)
            m.d.sync += ended.eq(inlet.payload.last)
            with m.If(full):
                m.d.comb += next_state.eq(_State.ROUNDS)
            with m.Elif(inlet.payload.last):
                m.d.comb += next_state.eq(_State.PAD)
                m.d.sync += number.eq(Mux(closes, 0, _INNER))
        with m.If(stops):
            m.d.comb += [next_state.eq(Mux(self.clear, _State.IDLE, _State.LOAD)), next_part.eq(0)]
            m.d.sync += [number.eq(Mux(self.clear, 0, _LAST)), ended.eq(0), padded.eq(0)]
        with m.If(self.clear):
            m.d.sync += Cat(held).eq(0)
        return m
