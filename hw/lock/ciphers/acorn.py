"""ACORN-128 v3 in hardware, 32 steps a cycle, on one lane or more."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring

from deeplock.hw.lock.ciphers.signature import CipherSignature

__all__ = ["Acorn"]

_STEPS = 32
_FEEDBACK = ((289, 235, 230), (230, 196, 193), (193, 160, 154), (154, 111, 107), (107, 66, 61), (61, 23, 0))
"""At each step the bit at the first place becomes the sum of the three; a later row sees what the rows before it did."""


class _Phase(enum.Enum):
    IDLE = 0
    KEY = 1
    PAD_ASSOCIATED = 2
    MESSAGE = 3
    END = 4
    TAG = 5


def _majority(x: Value, y: Value, z: Value) -> Value:
    return (x & y) | (x & z) | (y & z)


class Acorn(wiring.Component):
    """Opens or authenticates messages with ACORN-128 v3 (pymodel.lock.ciphers.acorn), each lane 32 bits of a word.

    Lane i takes bits 32 * i to 32 * i + 31 of each word, as a message of its own: its nonce is `nonce` with byte 0 XORed with
    i. All lanes have the same key.

    Latency: a word leaves in the cycle in which it is taken. `start` to the first word: 66 cycles, or 58 with `absorb`. Last
    word to the tag's first: 29, or 37. Throughput: a word a cycle, also of the tag.

    The feedback takes each plain bit, which is ciphertext XOR key stream, and in other phases the key stream and what goes in.
    So it takes what goes in always, and the key stream in every phase except the message's padding. The words of key and nonce
    go in from a register, which is 0 in other phases: choosing them in front of 32 steps would make the longest path.

    Members: see CipherSignature.

    bytes_per_beat  bytes of a word, 4 for each lane: 4, 8 or 16, else ValueError
    """

    tag_words = 4

    def __init__(self, bytes_per_beat: int):
        super().__init__(CipherSignature(bytes_per_beat))
        self._lanes = bytes_per_beat // 4

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        phase = Signal(_Phase)
        count = Signal(range(64))  # cycles of the phase; KEY is 7 to 63, END is 32 to 59, TAG is 60 to 63
        coming = Signal.like(count)
        word = Signal(_STEPS, reset_less=True)  # of key or nonce
        states = [Signal(293, reset_less=True, name=f"state_{lane}") for lane in range(self._lanes)]
        step, takes_word, opens, adds_196, adds_key_stream = (Signal() for _ in range(5))
        inverts = Signal()  # bit 0 of what goes in
        nonce_0 = Signal()  # `word` is the nonce's first
        for lane, state in enumerate(states):
            taken, given = (each.payload.data.word_select(lane, _STEPS) for each in (inlet, outlet))
            message = word ^ (taken & takes_word.replicate(_STEPS)) ^ inverts ^ Mux(nonce_0, lane, 0)
            bits, key_stream = list(state), []
            for i in range(_STEPS):  # place p of this step is bits[i + p]
                for place, first, second in _FEEDBACK:
                    total = Signal(name=f"sum_{place}_{i}")
                    m.d.comb += total.eq(bits[i + place] ^ bits[i + first] ^ bits[i + second])
                    bits[i + place] = total
                s = bits[i:]
                out, new = Signal(name=f"key_stream_{i}"), Signal(name=f"new_{i}")
                m.d.comb += [
                    out.eq(s[12] ^ s[154] ^ _majority(s[235], s[61], s[193]) ^ Mux(s[230], s[111], s[66])),
                    new.eq(
                        s[0] ^ ~s[107] ^ _majority(s[244], s[23], s[160])
                        ^ (adds_196 & s[196]) ^ (adds_key_stream & out) ^ message[i]
                    ),
                ]  # fmt: skip
                key_stream.append(out)
                bits.append(new)
            m.d.comb += given.eq(taken ^ (Cat(key_stream) & opens.replicate(_STEPS)))
            with m.If(step):
                m.d.sync += state.eq(Cat(bits[_STEPS:]))

        passes, stop = Signal(), Signal()  # words pass
        m.d.comb += [
            stop.eq(self.clear | self.start),
            inlet.ready.eq(outlet.ready & passes & ~stop),
            outlet.valid.eq(inlet.valid & passes & ~stop),
            outlet.payload.last.eq(inlet.payload.last),
            step.eq(Mux(passes, inlet.valid & outlet.ready, phase != _Phase.IDLE)),
            adds_196.eq(1),
            adds_key_stream.eq(1),
            coming.eq(count + 1),
        ]
        m.d.sync += word.eq(0)
        with m.If(step):
            m.d.sync += count.eq(coming)
        with m.Switch(phase):
            with m.Case(_Phase.KEY):  # the key, the nonce, the key over and over, the first time with bit 0 inverted
                words = Array(whole.word_select(i, _STEPS) for whole in (self.key, self.nonce) for i in range(4))
                m.d.comb += [step.eq(count >= 8), inverts.eq(count == 16), nonce_0.eq(count == 12)]
                m.d.sync += count.eq(coming)
                with m.If(count.all()):
                    m.d.sync += phase.eq(Mux(self.absorb, _Phase.MESSAGE, _Phase.PAD_ASSOCIATED))
                with m.Else():
                    m.d.sync += word.eq(words[Cat(coming[:2], coming[2:] == 3)])
            with m.Case(_Phase.PAD_ASSOCIATED):
                m.d.comb += [inverts.eq(count == 0), adds_196.eq(~count[2])]
                with m.If(count[:3].all()):
                    m.d.sync += [count.eq(32), phase.eq(Mux(self.absorb, _Phase.END, _Phase.MESSAGE))]
            with m.Case(_Phase.MESSAGE):
                m.d.comb += [passes.eq(1), takes_word.eq(1), opens.eq(~self.absorb)]
                m.d.sync += count.eq(Mux(self.absorb, 0, 32))
                with m.If(step & inlet.payload.last):
                    m.d.sync += phase.eq(Mux(self.absorb, _Phase.PAD_ASSOCIATED, _Phase.END))
            with m.Case(_Phase.END):  # the message's padding, 8 cycles, then as many steps as come before the tag
                padding = count[3:5] == 0
                m.d.comb += [
                    inverts.eq(count[:5] == 0),
                    adds_196.eq(~(padding & count[2])),
                    adds_key_stream.eq(~padding),
                ]
                with m.If(coming[2:].all()):
                    m.d.sync += phase.eq(_Phase.TAG)
            with m.Case(_Phase.TAG):
                m.d.comb += [passes.eq(1), opens.eq(1)]
                with m.If(step & count[:2].all()):
                    m.d.sync += phase.eq(_Phase.IDLE)
        with m.If(stop):
            m.d.sync += [Cat(states).eq(0), word.eq(0), count.eq(7), phase.eq(_Phase.KEY)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), phase.eq(_Phase.IDLE)]
        return m
