"""Signatures shared by several rooms of the datapath."""

from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from deeplock.pymodel.spec.config import Config

__all__ = ["Layer", "Part", "Run", "part_layout"]


class Part(enum.Enum, shape=2):
    """A part of the loadable stream. A loadable that is not sealed has no nonce and no tags. A licence has the same parts: its
    head are its terms, its parameters are the model key."""

    HEAD = 0
    PARAMETERS = 1
    NONCE = 2
    TAG = 3  # of what came before: the head, or an inference's parameters


def part_layout(config: Config) -> data.StructLayout:
    """A beat of the loadable stream with the part that it belongs to; `last` marks a part's last one. With licences,
    `of_licence` tells them from the loadable."""
    of_licence = {"of_licence": 1} if config.licences else {}
    return data.StructLayout({"data": 8 * config.bytes_per_beat, "last": 1, "part": Part} | of_licence)


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
