"""The lock of the sealed suites: nonce, tags and verdicts around a cipher."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, memory
from amaranth.lib.wiring import Component, connect, flipped

from deeplock.hw.basics.bundles import Part
from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.hw.lock.key_memory import KeyMemory
from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.lock.sealing import HEAD, MODEL_KEY, PARAMETERS, TERMS
from deeplock.pymodel.spec.config import Config

__all__ = ["SealedLock"]


class _State(enum.Enum):
    WAIT = 0  # for a nonce, or for parameters
    OPEN = 1  # the cipher has a message
    VERDICT = 2  # on its tag
    KEY = 3  # with licences only: the key memory answers


class SealedLock(Component):
    """Opens a sealed loadable (pymodel.lock.sealing). The head passes in clear, the parameters opened; nonce and tags end here.
    With licences, so do their model keys, with which all else is then opened.

    Whether a tag is right shows after the whole tag, in a cycle that depends on nothing secret. The cipher then begins with the
    next inference's parameters, when they are there.

    Latency: 0 cycles from a locked beat to the plain one. From the nonce's last beat to the head's first: the cycles that the
    cipher takes from its `start` to the first word, and 1; from the first parameters' offer to their first beat as many.
    From a tag's last beat to `trusted`, `right` or `wrong`: 2 cycles. Throughput: that of the cipher.

    Arguments
    ---------
    config : Config
    cipher : component with hw.lock.ciphers.signature.CipherSignature
    nonce_bytes : int
        That the cipher takes.
    """

    def __init__(self, config: Config, cipher: Component, nonce_bytes: int):
        self._cipher = cipher
        self._nonce_bytes = nonce_bytes
        self._size = config.bytes_per_beat
        self._licences = config.licences
        self.key_memory = KeyMemory(config) if config.licences else None
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.cipher = cipher = self._cipher
        locked, head, plain = self.locked, self.head, self.plain
        state, absorbs = Signal(_State), Signal()
        of_licence = Signal() if self._licences else Const(0, 1)
        takes = Signal()  # whoever the beat is for
        # how the tag's last beat differs from what it must be, kept for a cycle because the cipher's logic is long
        difference = Signal(8 * self._size)
        differs = Signal()  # one of the beats before it
        in_nonce, in_tag = (locked.payload.part == part for part in (Part.NONCE, Part.TAG))
        m.d.comb += [
            takes.eq(Mux(absorbs, head.ready, plain.ready) | of_licence),
            # nothing made of the key waits for the next message
            cipher.clear.eq(self.clear | (state == _State.VERDICT)),
            cipher.absorb.eq(absorbs),
            cipher.inlet.payload.data.eq(locked.payload.data),
            cipher.inlet.payload.last.eq(locked.payload.last),
            head.payload.data.eq(locked.payload.data),
            head.payload.last.eq(locked.payload.last),
            plain.payload.eq(cipher.outlet.payload),
            self.starved.eq(locked.valid & takes & ~locked.ready),
        ]
        assert (HEAD, PARAMETERS, TERMS, MODEL_KEY) == (0, 1, 2, 3), (
            "bits of a message's number are absorbs, of_licence"
        )
        number = Cat(Const(0, 4), ~absorbs, of_licence, Const(0, 2))  # byte 0 of the nonce
        keeps = self._keep_in_memory if "nonce_at" in cipher.signature.members else self._keep_in_register
        wrong = differs | difference.any() | keeps(m, (state == _State.WAIT) & locked.valid & in_nonce, number)
        m.d.sync += [cipher.start.eq(0), self.right.eq(0), self.wrong.eq(0)]
        m.d.sync += [difference.eq(0), differs.eq(differs | difference.any())]
        with m.Switch(state):
            with m.Case(_State.WAIT):
                m.d.comb += locked.ready.eq(in_nonce)
                m.d.sync += [absorbs.eq(in_nonce), differs.eq(0)]
                with m.If(locked.valid & in_nonce):
                    m.d.sync += self.trusted.eq(0)
                # the nonce's last beat, or the first of an inference's parameters
                with m.If(locked.valid & (locked.payload.last | ~in_nonce)):
                    m.d.sync += [cipher.start.eq(1), state.eq(_State.OPEN)]
                    if self.key_memory:  # a nonce may choose another key, which is there in two cycles
                        with m.If(in_nonce):
                            m.d.sync += [cipher.start.eq(0), state.eq(_State.KEY)]
            with m.Case(_State.OPEN):
                m.d.comb += [
                    cipher.inlet.valid.eq(locked.valid),
                    locked.ready.eq(cipher.inlet.ready),
                    head.valid.eq(cipher.outlet.valid & ~in_tag & absorbs & ~of_licence),
                    plain.valid.eq(cipher.outlet.valid & ~in_tag & ~absorbs & ~of_licence),
                    cipher.outlet.ready.eq(takes | in_tag),
                ]
                with m.If(cipher.outlet.valid & in_tag):  # it is taken; the cipher shows how the tag differs
                    m.d.sync += difference.eq(cipher.outlet.payload.data)
                    with m.If(locked.payload.last):
                        m.d.sync += state.eq(_State.VERDICT)
            with m.Case(_State.VERDICT):
                m.d.sync += [
                    state.eq(_State.WAIT),
                    self.wrong.eq(wrong & ~of_licence),
                    self.right.eq(~wrong & ~absorbs & ~of_licence),
                    self.trusted.eq(self.trusted | (~wrong & absorbs & ~of_licence)),
                ]
        with m.If(self.clear):
            m.d.sync += [state.eq(_State.WAIT), cipher.start.eq(0), differs.eq(0), absorbs.eq(0)]
            m.d.sync += [self.trusted.eq(0), self.right.eq(0), self.wrong.eq(0)]
        if self.key_memory:
            self._license(m, self.key_memory, state, of_licence, absorbs, in_tag, wrong)
        else:
            m.d.comb += cipher.key.eq(self.key.value)
        return m

    def _keep_in_register(self, m: Module, taken: Value, number: Value) -> Value:
        """Keep the nonce's beats for the cipher, with the message's `number` in byte 0. Returns whether bytes that are no
        one's choice are not 0."""
        beat, bits = self.locked.payload.data, 8 * self._nonce_bytes
        nonce = Signal(len(beat) * -(-bits // len(beat)), reset_less=True)
        with m.If(taken):
            m.d.sync += nonce.eq(Cat(nonce, beat)[-len(nonce) :])
        m.d.comb += self._cipher.nonce.eq(Cat(number, nonce[8:]))
        return Cat(nonce[:8], nonce[bits:]).any()

    def _keep_in_memory(self, m: Module, taken: Value, number: Value) -> Value:
        """The same for a cipher that takes its nonce in words."""
        beat, last = self.locked.payload.data, self.locked.payload.last
        words = self._size // 4  # of a beat
        # row by row; word 3 is 0, which is not the nonce's
        m.submodules.nonce = store = memory.Memory(shape=len(beat), depth=max(2, 4 // words), init=[], attrs=IN_BLOCKS)
        write, read = store.write_port(), store.read_port()
        at, answered = self._cipher.nonce_at, Signal(range(4))
        m.d.sync += answered.eq(at)
        m.d.comb += [
            write.en.eq(taken),
            write.data.eq(beat),
            read.addr.eq(at // words),
            self._cipher.nonce.eq(read.data.word_select(answered % words, 32) ^ Mux(answered == 0, number, 0)),
        ]
        odd, first = Signal(reset_less=True), write.addr == 0
        beyond = beat[8 * self._nonce_bytes % len(beat) :].any() if self._nonce_bytes % self._size else Const(0)
        with m.If(taken):
            m.d.sync += write.addr.eq(Mux(last, 0, write.addr + 1))
            m.d.sync += odd.eq(Mux(first, beat[:8].any(), odd) | (last & beyond))
        with m.If(self.clear):
            m.d.sync += write.addr.eq(0)
        return odd

    def _license(self, m: Module, keys: KeyMemory, state, of_licence, absorbs, in_tag, wrong) -> None:
        """What comes of a licence: its terms pass, its model key stays here."""
        m.submodules.key_memory = keys
        cipher, locked, terms = self._cipher, self.locked, self.terms
        connect(m, flipped(self.key), keys.device)
        shown = (state == _State.OPEN) & cipher.outlet.valid & of_licence & ~in_tag
        m.d.comb += [
            keys.of_device.eq(Mux((state == _State.WAIT) & locked.valid, locked.payload.of_licence, of_licence)),
            keys.model.eq(shown & ~absorbs),
            keys.beat.eq(cipher.outlet.payload.data),
            keys.begins.eq(state == _State.WAIT),
            keys.forget.eq(self.forget),
            cipher.key.eq(keys.key),
            terms.payload.data.eq(locked.payload.data),
            terms.payload.last.eq(locked.payload.last),
            terms.valid.eq(shown & absorbs),
        ]
        with m.If((state == _State.WAIT) & locked.valid):
            m.d.sync += of_licence.eq(locked.payload.of_licence)
        with m.If(state == _State.KEY):
            m.d.sync += [cipher.start.eq(1), state.eq(_State.OPEN)]
        m.d.sync += self.unlicensed.eq((state == _State.VERDICT) & wrong & of_licence & ~self.clear)
        with m.If(self.clear):
            m.d.sync += [of_licence.eq(0), cipher.start.eq(0), state.eq(_State.WAIT)]
