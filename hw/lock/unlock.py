"""The unlock unit: plain = INV_S[locked] XOR k, between sections and weight loader."""

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.lock.sbox import SBOX, invert

__all__ = ["UnlockUnit"]


class UnlockUnit(wiring.Component):
    """Unlocks a parameter stream, all bytes of a beat in parallel (Deep-Lock, arXiv 2008.05966).

    Latency: 1 cycle. Throughput: one beat a cycle. Both hold for every style and with any pauses.

    Its registers (for style `rom` in the block RAM, for `composite` inside the S-boxes) depend on public locked bytes only:
    no register holds a plain byte. The key byte is added after them, so a key stream beat is taken when its plain beat leaves.

    Arguments
    ---------
    bytes_per_beat : int
        Lanes.
    style : "rom" | "lut" | "composite"
        Of the inverse S-boxes.
    sbox : uint8 [256]
        The substitution used for locking (pymodel.lock.suite.Suite.sbox).

    Members
    -------
    locked : In(stream of beat_layout(bytes_per_beat))
    key_stream : In(stream of 8 * bytes_per_beat)
        As from hw.lock.key_schedule.KeySchedule.
    plain : Out(stream of beat_layout(bytes_per_beat))
    starved : Out(1)
        A beat inside waits for its beat of the key stream.
    clear : In(1)
        Drop the beat inside and take none; all registers but the block RAM's read 0 in the next cycle.

    Raises
    ------
    ValueError
        For fewer than one lane, or a style or S-box that hw.lock.sbox.Sbox refuses.
    """

    def __init__(self, bytes_per_beat: int, style: str, sbox: np.ndarray = SBOX):
        if bytes_per_beat < 1:
            raise ValueError(f"bytes_per_beat must be at least 1, not {bytes_per_beat}")
        self._inv_sbox = Sbox(bytes_per_beat, style, invert(sbox), cuts=("norm",))
        self._width = 8 * bytes_per_beat
        layout = beat_layout(bytes_per_beat)
        super().__init__(
            {
                "locked": In(stream.Signature(layout)),
                "key_stream": In(stream.Signature(self._width)),
                "plain": Out(stream.Signature(layout)),
                "starved": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.inv_sbox = inv_sbox = self._inv_sbox

        valid = Signal()  # a beat is inside
        leaves, take = Signal(), Signal()
        m.d.comb += [
            leaves.eq(self.plain.valid & self.plain.ready),
            self.locked.ready.eq((~valid | leaves) & ~self.clear),
            take.eq(self.locked.valid & self.locked.ready),
            self.plain.valid.eq(valid & self.key_stream.valid),
            self.key_stream.ready.eq(valid & self.plain.ready & ~self.clear),
            self.starved.eq(valid & ~self.key_stream.valid),
            inv_sbox.input.eq(self.locked.payload.data),
            inv_sbox.en.eq(take),
            inv_sbox.clear.eq(self.clear),
        ]

        substituted = inv_sbox.output
        if not inv_sbox.latency:
            substituted = Signal(self._width, reset_less=True)
            with m.If(take):
                m.d.sync += substituted.eq(inv_sbox.output)
            with m.If(self.clear):
                m.d.sync += substituted.eq(0)
        m.d.comb += self.plain.payload.data.eq(substituted ^ self.key_stream.payload)
        with m.If(self.clear):
            m.d.sync += [valid.eq(0), self.plain.payload.last.eq(0)]
        with m.Elif(take):
            m.d.sync += [valid.eq(1), self.plain.payload.last.eq(self.locked.payload.last)]
        with m.Elif(leaves):
            m.d.sync += valid.eq(0)
        return m
