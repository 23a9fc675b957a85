"""The endless AES key expansion in hardware: the key stream of suite `deep-lock`, a beat a cycle."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.lock.key_schedule import KEY_SIZES, rcons
from deeplock.pymodel.lock.sbox import POLYNOMIAL

__all__ = ["KeySchedule"]

_CODES = {16: 0b00, 24: 0b01, 32: 0b10}
"""A register holds a key size as bits 5 and 3 of its number of bytes."""


class KeySchedule(wiring.Component):
    """Expands the master key on the fly, from byte 0 on and without end (pymodel.lock.key_schedule; FIPS-197 section 5.2).

    Holds the Nk oldest unsent words of the stream and makes a new word for each that leaves. Of four consecutive aligned words
    at most one needs SubWord, so four S-boxes serve any beat. Their input is registered: with style `rom` in the block RAM,
    whose address is computed one cycle ahead; with `composite` as linear forms, which are 0 for input 0.

    Beats of one or two words have two beats of time for SubWord: its result is registered and added to the newest words one
    beat later, before they are used or leave. Beats of one word with style `composite` have three, and a register in the middle
    of the S-boxes. Beats of four words need the result in the same beat, and the next beat's SubWord may depend on it. That
    loop is S-box, XOR and register; whatever else is added to the next input is registered before. It is too short to compute
    an S-box in, so there style `composite` has the S-boxes of `lut`.

    Latency: the first beat is valid in the cycle after `start`. Throughput: a beat a cycle.

    Arguments
    ---------
    bytes_per_beat : 4 | 8 | 16
    style : "rom" | "lut" | "composite"
        Of the four S-boxes.
    key_sizes : subset of (16, 24, 32)
        Accepted master key sizes in bytes; hardware for one size alone is far smaller.

    Members
    -------
    key : In(256)
        Master key, byte 0 in bits 0..7; sampled in the cycle of `start` or `again`. A shorter key leaves the upper bits unused.
    key_size : In(6)
        In bytes, one of `key_sizes`; sampled with the key.
    start : In(1)
        Restart the stream; a beat that waits to be taken is lost.
    again : In(1)
        Restart the stream after the beat that is taken in this cycle. Ignored if none is taken, so it may come before
        that is known.
    clear : In(1)
        Stop and zeroise: all state reads 0 in the next cycle (a block RAM's output S[0]). Overrides `start`.
    output : Out(stream of 8 * bytes_per_beat)
        The key stream; the first byte of a beat in its lowest bits.

    Raises
    ------
    ValueError
        For an unsupported beat, S-box style or set of key sizes.
    """

    def __init__(self, bytes_per_beat: int, style: str, key_sizes: Sequence[int] = KEY_SIZES):
        if bytes_per_beat not in (4, 8, 16):
            raise ValueError(f"bytes_per_beat must be 4, 8 or 16, not {bytes_per_beat}")
        if not key_sizes or not set(key_sizes) <= set(KEY_SIZES):
            raise ValueError(f"key_sizes must be some of {KEY_SIZES}, not {tuple(key_sizes)}")
        self._codes = {size: code for size, code in _CODES.items() if size in key_sizes}
        self._beat = bytes_per_beat // 4
        cuts = ("forms", "norm") if bytes_per_beat == 4 else ("forms",)
        self._sbox = Sbox(4, "lut" if style == "composite" and bytes_per_beat == 16 else style, cuts=cuts)
        super().__init__(
            {
                "key": In(256),
                "key_size": In(6),
                "start": In(1),
                "again": In(1),
                "clear": In(1),
                "output": Out(stream.Signature(8 * bytes_per_beat)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sbox = sbox = self._sbox

        beat = self._beat
        same_beat = beat == 4  # SubWord's result is due in the beat that needs it
        wait = max(sbox.latency - 1, 0)  # beats from the one that needs SubWord to the S-boxes' result
        codes = self._codes
        several = len(codes) > 1
        given = Cat(self.key_size[3], self.key_size[5])
        size = Signal(2) if several else Const(next(iter(codes.values())), 2)
        depth = max(codes) // 4
        # word_0 is the oldest unsent; the first Nk are used
        words = [Signal(32, name=f"word_{i}", reset_less=True) for i in range(depth)]
        phase = Signal(range(8))  # place of word_0 in the stream, modulo Nk
        rcon = Signal(8)
        active = Signal()
        step = Signal()
        m.d.comb += [
            self.output.payload.eq(Cat(words[:beat])),
            self.output.valid.eq(active),
            step.eq(active & self.output.ready),
        ]

        # Where SubWord falls among the new words: before the first, before the third (AES-192 only, where a beat is
        # four words), or nowhere. Half-way through the eight words of AES-256 it goes without RotWord and Rcon.
        def half_way(phase: Value) -> Value:
            return (size == _CODES[32]) & (phase == 4)

        def before_first(phase: Value) -> Value:
            return (phase == 0) | half_way(phase)

        def before_third(phase: Value) -> Value:
            return (size == _CODES[24]) & (phase == 4) if same_beat else Const(0)

        came_half_way = (size == _CODES[32]) & (phase == 4 + wait)
        comes = (phase == wait) | came_half_way

        next_rcon = Signal.like(rcon)
        m.d.comb += next_rcon.eq(rcon)
        with m.If((phase == wait) | before_third(phase)):
            m.d.comb += next_rcon.eq(Cat(Const(0, 1), rcon[:7]) ^ Mux(rcon[7], POLYNOMIAL & 0xFF, 0))

        # With beats of four words SubWord's next input is the last new word, or the second of the next beat. It is the XOR of
        # SubWord's own output, if this beat has one, and `rest`: old words, one or two neighbours a summand, and Rcon.
        def rest_of(count: int, summand: Callable[[int], Value], phase: Value, rcon: Value, last: Value) -> Value:
            total = Mux(before_third(phase), 0, summand(0)) ^ summand(2)
            if count == 6:
                total ^= Mux(phase == 0, summand(4), 0)
            return total ^ Mux(before_first(phase) | before_third(phase), Mux(half_way(phase), 0, rcon), last)

        # What depends on Nk.
        last = Signal(32)
        next_phase = Signal(range(8))
        new = [Signal(32, name=f"new_{i}") for i in range(beat)]
        moved = [Signal(32, name=f"moved_{i}") for i in range(depth)]
        # beats of one or two words: SubWord's result, still to be added to the words made since
        late = Signal(32)
        rest, next_rest = Signal(32, reset_less=True), Signal(32)  # with beats of four
        taken = rest ^ Mux(before_first(phase) | before_third(phase), sbox.output, 0) if same_beat else new[-1]
        with m.Switch(size):
            for key_size, code in codes.items():
                with m.Case(code):
                    count = key_size // 4
                    # SubWord takes the last new word, except where it takes the second of the next beat
                    last_new = new[-1] if (count, beat) == (6, 4) else taken
                    newest = words[count - (1 + wait) * beat : count]
                    if not same_beat:
                        newest = [word ^ late for word in newest]
                    m.d.comb += last.eq(newest[-1])
                    m.d.comb += next_phase.eq(Mux(phase + beat >= count, phase + beat - count, phase + beat))
                    m.d.comb += Cat(moved).eq(Cat([*words[: count - len(newest)], *newest, *new[:-1], last_new][beat:]))
                    if same_beat:

                        def of_moved(i: int, count=count) -> Value:
                            """Moved word i XOR moved word i + 1; for two new words that is one old word."""
                            i += beat
                            return words[i - count + 1] if i >= count else words[i] ^ words[i + 1]

                        m.d.comb += next_rest.eq(rest_of(count, of_moved, next_phase, next_rcon, last_new))

        substituted = Signal(32)
        m.d.comb += substituted.eq(sbox.output ^ Mux(came_half_way, 0, rcon))
        for i, word in enumerate(new):
            previous = new[i - 1] if i else Mux(before_first(phase), substituted if same_beat else 0, last)
            m.d.comb += word.eq(words[i] ^ (Mux(before_third(phase), substituted, previous) if i == 2 else previous))

        to_sbox = Signal(32)
        m.d.comb += to_sbox.eq(Mux(half_way(next_phase), taken, taken.rotate_right(8)))

        begins, first_rcon = self.start | self.again, Const(next(rcons()), 8)
        with m.If(self.clear):
            m.d.comb += to_sbox.eq(0)
        with m.Elif(begins):
            with m.Switch(given if several else size):
                for key_size, code in codes.items():
                    with m.Case(code):
                        count = key_size // 4
                        key = [self.key.word_select(i, 32) for i in range(count)]
                        m.d.comb += to_sbox.eq(key[-1].rotate_right(8))
                        if same_beat:
                            m.d.comb += next_rest.eq(
                                rest_of(count, lambda i, key=key: key[i] ^ key[i + 1], Const(0, 3), first_rcon, key[-1])
                            )

        with m.If(self.clear):
            m.d.sync += [Cat(words).eq(0), phase.eq(0), rcon.eq(0), active.eq(0)]
            if several:
                m.d.sync += size.eq(0)
            m.d.sync += rest.eq(0) if same_beat else late.eq(0)
        with m.Elif(self.start | step):
            m.d.sync += rest.eq(next_rest) if same_beat else late.eq(Mux(comes & ~begins, substituted, 0))
            with m.If(begins):
                m.d.sync += [Cat(words).eq(self.key), phase.eq(0), rcon.eq(first_rcon), active.eq(1)]
                if several:
                    m.d.sync += size.eq(given)
            with m.Else():
                m.d.sync += [Cat(words).eq(Cat(moved)), phase.eq(next_phase), rcon.eq(next_rcon)]

        enable = self.clear | self.start | step
        m.d.comb += [sbox.en.eq(enable), sbox.clear.eq(self.clear)]
        if sbox.latency:
            m.d.comb += sbox.input.eq(to_sbox)
        else:
            registered = Signal(32)
            with m.If(enable):
                m.d.sync += registered.eq(to_sbox)
            m.d.comb += sbox.input.eq(registered)
        return m
