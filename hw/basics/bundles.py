"""Signatures shared by several rooms of the datapath."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Layer", "Run"]


class Run(wiring.Signature):
    """From control to every component that takes part in a run.

    Members:
        active  a run is going on
        count   inferences of the run; stable from the cycle before `active` on
    """

    def __init__(self):
        super().__init__({"active": Out(1), "count": Out(16)})


class Layer(wiring.Signature):
    """From the sequencer to a component that processes a layer.

    fields  layout of the descriptor words that the component uses

    Members:
        start   pulse: the layer begins
        fields  of the layer's descriptor
        done    pulse: the component has finished the layer
    """

    def __init__(self, fields: data.Layout):
        super().__init__({"start": Out(1), "fields": Out(fields), "done": In(1)})
