"""Stream buffers that register `ready` (SkidBuffer), or `valid` and payload (StreamRegister)."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer", "StreamRegister"]

_PART = 32
"""Payload bits that one control register drives."""


class _Buffer(wiring.Component):
    """A buffer from `inlet` to `outlet`.

    Arguments:
        shape  of the payload
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__({"inlet": In(stream.Signature(shape)), "outlet": Out(stream.Signature(shape))})


class SkidBuffer(_Buffer):
    """Registers `inlet.ready`: it holds the item that arrives in the cycle in which `outlet` stalls. While it is empty, its
    payload register follows `inlet`, so that nothing from before a reset remains.

    attrs  attributes of the registers that say whether it is full: one for `ready`, one for every 32 bits of the payload

    Latency: 0 cycles. Throughput: one item a cycle.
    """

    def __init__(self, shape, attrs: dict[str, int] | None = None):
        super().__init__(shape)
        self._attrs = attrs

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        full = Signal(attrs=self._attrs)
        stays = outlet.valid & ~outlet.ready
        m.d.sync += full.eq(stays)
        m.d.comb += [inlet.ready.eq(~full), outlet.valid.eq(full | inlet.valid)]
        shown, coming = Value.cast(outlet.payload), Value.cast(inlet.payload)
        for first in range(0, len(shown), _PART):
            here = slice(first, min(first + _PART, len(shown)))
            keeps = Signal(name=f"full_{first}", attrs=self._attrs)
            kept = Signal(len(shown[here]), name=f"kept_{first}", reset_less=True)
            m.d.sync += keeps.eq(stays)
            with m.If(~keeps):
                m.d.sync += kept.eq(coming[here])
            m.d.comb += shown[here].eq(Mux(keeps, kept, coming[here]))
        return m


class StreamRegister(_Buffer):
    """Registers `outlet.valid` and `outlet.payload`.

    Latency: 1 cycle. Throughput: one item a cycle.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        valid, held = Signal(), Signal.like(inlet.payload, reset_less=True)
        m.d.comb += [inlet.ready.eq(~valid | outlet.ready), outlet.valid.eq(valid), outlet.payload.eq(held)]
        with m.If(inlet.ready):
            m.d.sync += [valid.eq(inlet.valid), held.eq(inlet.payload)]
        return m
