"""The unlock unit: plain = INV_S[locked] XOR k, on the weights' way into the array."""

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import beat_layout
from hw.sbox import Sbox
from pymodel.sbox import SBOX, invert

__all__ = ["UnlockUnit"]


class UnlockUnit(wiring.Component):
    """Unlocks a parameter stream, byte by byte in parallel (Deep-Lock, arXiv 2008.05966).

    Latency 1 cycle, throughput a beat a cycle, whatever the style and the pauses. A beat goes in only together with its
    beat of the key stream. Styles `lut` and `composite` register the plain bytes; `rom` registers the key bytes beside
    the block RAM (whose output, S^-1 of public bytes, is no secret), so that plain bytes are in no register at all.

    Arguments
    ---------
    bytes_per_beat : int
        Lanes.
    style : "rom" | "lut" | "composite"
        Of the inverse S-boxes.
    sbox : uint8 [256]
        The substitution that locked (pymodel.suites.Suite.sbox).

    Members
    -------
    locked : In(stream of beat_layout(bytes_per_beat))
    key_stream : In(stream of 8 * bytes_per_beat)
        As from hw.key_schedule.KeySchedule.
    plain : Out(stream of beat_layout(bytes_per_beat))
    starved : Out(1)
        A locked beat could go in this cycle, but for the key stream.
    clear : In(1)
        Drop the beat inside and take none in; registers that held unlocked bytes or key bytes read 0 in the next cycle.

    Raises
    ------
    ValueError
        For a number of lanes below one, or a style or an S-box that hw.sbox.Sbox refuses.
    """

    def __init__(self, bytes_per_beat: int, style: str, sbox: np.ndarray = SBOX):
        if bytes_per_beat < 1:
            raise ValueError(f"bytes_per_beat must be at least 1, not {bytes_per_beat}")
        self._inv_sbox = Sbox(bytes_per_beat, style, invert(sbox))
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

        free = Signal()  # the register is, or becomes, empty
        take = Signal()
        m.d.comb += [
            free.eq((~self.plain.valid | self.plain.ready) & ~self.clear),
            take.eq(free & self.locked.valid & self.key_stream.valid),
            self.locked.ready.eq(free & self.key_stream.valid),
            self.key_stream.ready.eq(free & self.locked.valid),
            self.starved.eq(free & self.locked.valid & ~self.key_stream.valid),
            inv_sbox.input.eq(self.locked.payload.data),
            inv_sbox.en.eq(take),
        ]

        # key bytes if the S-box has a register of its own, plain bytes if not
        held = Signal(self._width, reset_less=True)
        key = self.key_stream.payload
        if inv_sbox.latency:
            m.d.comb += self.plain.payload.data.eq(inv_sbox.output ^ held)
        else:
            m.d.comb += self.plain.payload.data.eq(held)
        with m.If(self.clear):
            m.d.sync += [self.plain.valid.eq(0), self.plain.payload.last.eq(0), held.eq(0)]
        with m.Elif(free):
            m.d.sync += self.plain.valid.eq(take)
            with m.If(take):
                m.d.sync += self.plain.payload.last.eq(self.locked.payload.last)
                m.d.sync += held.eq(key if inv_sbox.latency else inv_sbox.output ^ key)
        return m
