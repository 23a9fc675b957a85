"""ACORN-128 v3 in hardware, 32 steps a cycle."""

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


def _majority(x: Value, y: Value, z: Value) -> Value:
    return (x & y) | (x & z) | (y & z)


class Acorn(wiring.Component):
    """Opens or authenticates messages of 32-bit words with ACORN-128 v3 (pymodel.lock.ciphers.acorn).

    Latency: `inlet` is ready 66 cycles after `start`, or 58 with `absorb`; `done` comes 33 cycles after the last word, or 41.
    Throughput: a word a cycle. A word leaves in the cycle in which it is taken: only logic is between `inlet` and `outlet`.

    The feedback takes each plain bit, which is ciphertext XOR key stream, and in other phases the key stream and what goes in.
    So it takes what goes in always, and the key stream in every phase except the message's padding. The words of key and nonce
    go in from registers, which are 0 in other phases: choosing them in front of 32 steps would make the longest path.
    """

    def __init__(self):
        super().__init__(CipherSignature(_STEPS // 8, tag_bits=128))

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        phase = Signal(_Phase)
        count = Signal(range(64))  # cycles of the phase; KEY is 7 to 63, END is 32 to 63
        coming = Signal.like(count)
        state = Signal(293, reset_less=True)
        tag = Signal(128, reset_less=True)
        stop = Signal()
        m.d.comb += [stop.eq(self.clear | self.start), self.tag.eq(tag)]

        step, adds_key_stream, adds_196, opens = Signal(), Signal(), Signal(), Signal()
        takes_word, inverts = Signal(), Signal()
        key_word, nonce_word = Signal(_STEPS, reset_less=True), Signal(_STEPS, reset_less=True)
        message = key_word ^ nonce_word ^ (inlet.payload.data & takes_word.replicate(_STEPS)) ^ inverts

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
        m.d.comb += [
            outlet.payload.data.eq(inlet.payload.data ^ (Cat(key_stream) & opens.replicate(_STEPS))),
            outlet.payload.last.eq(inlet.payload.last),
        ]

        m.d.comb += [step.eq(phase != _Phase.IDLE), adds_196.eq(1), adds_key_stream.eq(1), coming.eq(count + 1)]
        m.d.sync += [self.done.eq(0), key_word.eq(0), nonce_word.eq(0)]
        with m.If(step):
            m.d.sync += state.eq(Cat(bits[_STEPS:]))
        with m.If(phase != _Phase.IDLE):
            m.d.sync += count.eq(coming)
        with m.Switch(phase):
            with m.Case(_Phase.KEY):  # the key, the nonce, the key over and over, the first time with bit 0 inverted
                key, nonce = (Array(whole.word_select(i, _STEPS) for i in range(4)) for whole in (self.key, self.nonce))
                m.d.comb += [step.eq(count >= 8), inverts.eq(count == 16)]
                with m.If(count.all()):
                    m.d.sync += phase.eq(Mux(self.absorb, _Phase.MESSAGE, _Phase.PAD_ASSOCIATED))
                with m.Elif(coming[2:] == 3):
                    m.d.sync += nonce_word.eq(nonce[coming[:2]])
                with m.Else():
                    m.d.sync += key_word.eq(key[coming[:2]])
            with m.Case(_Phase.PAD_ASSOCIATED):
                m.d.comb += [inverts.eq(count == 0), adds_196.eq(~count[2])]
                with m.If(count[:3].all()):
                    m.d.sync += [count.eq(32), phase.eq(Mux(self.absorb, _Phase.END, _Phase.MESSAGE))]
            with m.Case(_Phase.MESSAGE):
                m.d.comb += [
                    inlet.ready.eq(outlet.ready & ~stop),
                    outlet.valid.eq(inlet.valid & ~stop),
                    step.eq(inlet.valid & outlet.ready),
                    takes_word.eq(1),
                    opens.eq(~self.absorb),
                ]
                m.d.sync += count.eq(Mux(self.absorb, 0, 32))
                with m.If(step & inlet.payload.last):
                    m.d.sync += phase.eq(Mux(self.absorb, _Phase.PAD_ASSOCIATED, _Phase.END))
            with m.Case(_Phase.END):  # the message's padding, 8 cycles, then what the tag comes out of
                padding = count[3:5] == 0
                m.d.comb += [
                    inverts.eq(count[:5] == 0),
                    adds_196.eq(~(padding & count[2])),
                    adds_key_stream.eq(~padding),
                ]
                with m.If(count[2:].all()):
                    m.d.sync += tag.eq(Cat(tag[_STEPS:], *key_stream))
                with m.If(count.all()):
                    m.d.sync += [self.done.eq(1), phase.eq(_Phase.IDLE)]
        with m.If(stop):
            m.d.sync += [state.eq(0), tag.eq(0), key_word.eq(0), nonce_word.eq(0)]
            m.d.sync += [self.done.eq(0), count.eq(7), phase.eq(_Phase.KEY)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), phase.eq(_Phase.IDLE)]
        return m
