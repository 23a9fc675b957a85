"""TinyJAMBU-128 v2 in hardware, 32, 64 or 128 steps a cycle, on one lane or more."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring

from deeplock.hw.lock.ciphers.signature import CipherSignature

__all__ = ["TinyJambu"]


class _Phase(enum.Enum):
    IDLE = 0
    KEY = 1
    NONCE = 2
    MESSAGE = 3
    TAG_LOW = 4
    TAG_HIGH = 5


class TinyJambu(wiring.Component):
    """Opens or authenticates messages with TinyJAMBU-128 v2 (pymodel.lock.ciphers.tinyjambu), each lane 32 bits of a word.

    Lane i takes bits 32 * i to 32 * i + 31 of each word, as a message of its own: its nonce is the three words of `nonce`, the
    first XORed with i. All lanes have the same key.

    Latency: a word leaves in the cycle in which it is taken. With n steps a cycle, `start` to the first word: 1 + 3968 / n
    cycles, or 1 + 3584 / n with `absorb`. Last word to the tag's first: 1024 / n; to its second: 640 / n more.
    Throughput: a word in 1024 / n cycles, or 640 / n with `absorb`.

    The first cycle of a permutation adds its frame bits to the state, and the word that belongs behind the permutation before.

    Members: see CipherSignature.

    bytes_per_beat  bytes of a word, 4 for each lane: 4, 8 or 16, else ValueError
    steps           a cycle: 32, 64 or 128, else ValueError
    """

    tag_words = 2

    def __init__(self, bytes_per_beat: int, steps: int):
        super().__init__(CipherSignature(bytes_per_beat, nonce_in_words=True))
        if steps not in (32, 64, 128):
            raise ValueError(f"steps must be 32, 64 or 128, not {steps}")
        self._lanes = bytes_per_beat // 4
        self._steps = steps

    def elaborate(self, platform) -> Module:
        m = Module()
        steps = self._steps
        inlet, outlet = self.inlet, self.outlet
        phase = Signal(_Phase)
        count = Signal(range(1024 // steps))  # cycles of the permutation
        inside, first = Signal(), Signal()  # beyond its first one, or in it
        turn = Signal(2)  # permutations of phase NONCE
        ended = Signal()  # the last word is in
        states = [Signal(128, reset_less=True, name=f"state_{lane}") for lane in range(self._lanes)]
        step, short, frame, adds_word, opens = Signal(), Signal(), Signal(3), Signal(), Signal()
        nonce_0 = Signal()  # `nonce` is its first word
        key = Array(self.key.word_select(i, steps) for i in range(128 // steps))[count % (128 // steps)]
        for lane, state in enumerate(states):
            taken, given = (each.payload.data.word_select(lane, 32) for each in (inlet, outlet))
            m.d.comb += given.eq(taken ^ (state[64:96] & opens.replicate(32)))
            added = self.nonce ^ Mux(nonce_0, lane, 0) ^ (given & adds_word.replicate(32))
            bits = [*state[:36], *(state[36:39] ^ Mux(first, frame, 0)), *state[39:96], *(state[96:] ^ added)]
            for i in range(steps):
                new = Signal(name=f"new_{i}")
                m.d.comb += new.eq(bits[i] ^ bits[i + 47] ^ ~(bits[i + 70] & bits[i + 85]) ^ bits[i + 91] ^ key[i])
                bits.append(new)
            with m.If(step):
                m.d.sync += state.eq(Cat(bits[steps:]))

        passes, stop, ends = Signal(), Signal(), Signal()  # passes: of phases in which a word begins a permutation
        m.d.comb += [
            stop.eq(self.clear | self.start),
            first.eq(~inside),
            inlet.ready.eq(outlet.ready & passes & first & ~stop),
            outlet.valid.eq(inlet.valid & passes & first & ~stop),
            outlet.payload.last.eq(inlet.payload.last),
            step.eq(Mux(passes & first, inlet.valid & outlet.ready, phase != _Phase.IDLE)),
            ends.eq(step & (count == Mux(short, 640 // steps - 1, 1024 // steps - 1))),
        ]
        m.d.comb += self.nonce_at.eq(3)
        with m.If(step):
            m.d.sync += [count.eq(Mux(ends, 0, count + 1)), inside.eq(~ends)]
        with m.Switch(phase):
            with m.Case(_Phase.KEY):
                with m.If(ends):
                    m.d.sync += phase.eq(_Phase.NONCE)
            with m.Case(_Phase.NONCE):  # the last one takes the nonce's last word, and is the message's first
                m.d.comb += [
                    nonce_0.eq(first & (turn == 1)),
                    short.eq((turn != 3) | self.absorb),
                    frame.eq(Mux(turn != 3, 1, Mux(self.absorb, 3, 5))),
                ]
                with m.If(ends):
                    m.d.comb += self.nonce_at.eq(Mux(stop, 3, turn))
                    m.d.sync += turn.eq(turn + 1)
                    with m.If(turn == 3):
                        m.d.sync += phase.eq(_Phase.MESSAGE)
            with m.Case(_Phase.MESSAGE):  # a word, and the permutation before the next one or before the tag
                last = inlet.payload.last
                m.d.comb += [
                    passes.eq(1),
                    opens.eq(~self.absorb),
                    adds_word.eq(first),
                    short.eq(self.absorb & ~ended),
                    frame.eq(Mux(last, 7, Mux(self.absorb, 3, 5))),
                ]
                with m.If(first):
                    m.d.sync += ended.eq(last)
                with m.If(ends & ended):
                    m.d.sync += phase.eq(_Phase.TAG_LOW)
            with m.Case(_Phase.TAG_LOW):
                m.d.comb += [passes.eq(1), opens.eq(1), short.eq(1), frame.eq(7)]
                with m.If(ends):
                    m.d.sync += phase.eq(_Phase.TAG_HIGH)
            with m.Case(_Phase.TAG_HIGH):
                m.d.comb += [passes.eq(1), opens.eq(1)]
                with m.If(step):
                    m.d.sync += phase.eq(_Phase.IDLE)
        with m.If(stop):
            m.d.sync += Cat(states).eq(0)
            m.d.sync += [count.eq(0), inside.eq(0), turn.eq(0), ended.eq(0), phase.eq(_Phase.KEY)]
        with m.If(self.clear):
            m.d.sync += phase.eq(_Phase.IDLE)
        return m
