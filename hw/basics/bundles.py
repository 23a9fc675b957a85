"""Bundles of wires between the rooms of the datapath that none of them owns."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Layer", "Run"]


class Run(wiring.Signature):
    """To who takes part in a run.

    Members:
        active  it goes on
        count   inferences in it; stays from the cycle before `active` on
    """

    def __init__(self):
        super().__init__({"active": Out(1), "count": Out(16)})


class Layer(wiring.Signature):
    """To who works off a layer.

    fields  layout of the descriptor's part

    Members:
        start   pulse: the layer begins
        fields  of its descriptor
        done    pulse: the layer has gone through
    """

    def __init__(self, fields: data.Layout):
        super().__init__({"start": Out(1), "fields": Out(fields), "done": In(1)})
