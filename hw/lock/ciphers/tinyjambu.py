"""TinyJAMBU-128 v2 in hardware, 32, 64 or 128 steps a cycle."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring

from deeplock.hw.lock.ciphers.signature import CipherSignature

__all__ = ["TinyJambu"]


class _Phase(enum.Enum):
    IDLE = 0
    KEY = 1
    NONCE = 2
    MESSAGE = 3
    TAG = 4


class TinyJambu(wiring.Component):
    """Opens or authenticates messages of 32-bit words with TinyJAMBU-128 v2 (pymodel.lock.ciphers.tinyjambu).

    With n steps a cycle:

    Latency: `inlet` is ready 1 + 3968 / n cycles after `start`, or 1 + 3584 / n with `absorb`; `done` comes 1664 / n cycles
    after the last word. Throughput: a word in 1024 / n cycles, or 640 / n with `absorb`. A word leaves in the cycle in which it
    is taken: only logic is between `inlet` and `outlet`.

    The first cycle of a permutation adds its frame bits to the state, and the word that belongs behind the permutation before.
    The cipher's nonce is the lowest 96 bits of `nonce`. Before `done`, `tag` is bits of the state.

    Arguments
    ---------
    steps : 32 | 64 | 128
        A cycle.

    Raises
    ------
    ValueError
        For another number of steps.
    """

    def __init__(self, steps: int):
        if steps not in (32, 64, 128):
            raise ValueError(f"steps must be 32, 64 or 128, not {steps}")
        self._steps = steps
        super().__init__(CipherSignature(4, tag_bits=64))

    def elaborate(self, platform) -> Module:
        m = Module()
        steps = self._steps
        inlet, outlet = self.inlet, self.outlet
        phase = Signal(_Phase)
        count = Signal(range(1024 // steps))  # cycles of the permutation
        inside, first = Signal(), Signal()  # beyond its first one, or in it
        turn = Signal(2)  # permutations of phase NONCE
        ended = Signal()  # the last word is in
        state = Signal(128, reset_less=True)
        tag_low = Signal(32, reset_less=True)
        nonce_word = Signal(32, reset_less=True)  # the one to add, or 0
        stop = Signal()
        key_stream = state[64:96]
        m.d.comb += [stop.eq(self.clear | self.start), first.eq(~inside), self.tag.eq(Cat(tag_low, key_stream))]

        step, short, frame, adds_word = Signal(), Signal(), Signal(3), Signal()
        m.d.comb += [
            outlet.payload.data.eq(inlet.payload.data ^ (key_stream & ~self.absorb.replicate(32))),
            outlet.payload.last.eq(inlet.payload.last),
        ]
        added = nonce_word ^ (outlet.payload.data & adds_word.replicate(32))
        bits = [*state[:36], *(state[36:39] ^ Mux(first, frame, 0)), *state[39:96], *(state[96:] ^ added)]
        key = Array(self.key.word_select(i, steps) for i in range(128 // steps))[count % (128 // steps)]
        for i in range(steps):
            new = Signal(name=f"new_{i}")
            m.d.comb += new.eq(bits[i] ^ bits[i + 47] ^ ~(bits[i + 70] & bits[i + 85]) ^ bits[i + 91] ^ key[i])
            bits.append(new)

        ends = Signal()
        m.d.comb += [
            step.eq(phase != _Phase.IDLE),
            ends.eq(step & (count == Mux(short, 640 // steps - 1, 1024 // steps - 1))),
        ]
        m.d.sync += [self.done.eq(0), nonce_word.eq(0)]
        with m.If(step):
            m.d.sync += [state.eq(Cat(bits[steps:])), count.eq(Mux(ends, 0, count + 1)), inside.eq(~ends)]
        with m.Switch(phase):
            with m.Case(_Phase.KEY):
                with m.If(ends):
                    m.d.sync += phase.eq(_Phase.NONCE)
            with m.Case(_Phase.NONCE):  # the last one takes the nonce's last word, and is the message's first
                m.d.comb += [short.eq((turn != 3) | self.absorb), frame.eq(Mux(turn != 3, 1, Mux(self.absorb, 3, 5)))]
                with m.If(ends):
                    coming = Array([*(self.nonce.word_select(i, 32) for i in range(3)), 0])
                    m.d.sync += [turn.eq(turn + 1), nonce_word.eq(coming[turn])]
                    with m.If(turn == 3):
                        m.d.sync += phase.eq(_Phase.MESSAGE)
            with m.Case(_Phase.MESSAGE):  # a word, and the permutation before the next one or before the tag
                last = inlet.payload.last
                m.d.comb += [
                    inlet.ready.eq(first & outlet.ready & ~stop),
                    outlet.valid.eq(first & inlet.valid & ~stop),
                    step.eq(~first | (inlet.valid & outlet.ready)),
                    adds_word.eq(first),
                    short.eq(self.absorb & ~ended),
                    frame.eq(Mux(last, 7, Mux(self.absorb, 3, 5))),
                ]
                with m.If(first):
                    m.d.sync += ended.eq(last)
                with m.If(ends & ended):
                    m.d.sync += phase.eq(_Phase.TAG)
            with m.Case(_Phase.TAG):
                m.d.comb += [short.eq(1), frame.eq(7)]
                with m.If(first):
                    m.d.sync += tag_low.eq(key_stream)
                with m.If(ends):
                    m.d.sync += [self.done.eq(1), phase.eq(_Phase.IDLE)]
        with m.If(stop):
            m.d.sync += [state.eq(0), tag_low.eq(0), nonce_word.eq(0)]
            m.d.sync += [count.eq(0), inside.eq(0), turn.eq(0), ended.eq(0), self.done.eq(0), phase.eq(_Phase.KEY)]
        with m.If(self.clear):
            m.d.sync += phase.eq(_Phase.IDLE)
        return m
