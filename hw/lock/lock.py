"""The lock's signature in hardware. Each suite that has hardware is a file of this folder."""

from importlib import import_module
from importlib.util import find_spec

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.bundles import part_layout
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.lock.key_memory import KeyWrites
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config

__all__ = ["LockSignature", "MasterKey", "lock_of"]


class MasterKey(wiring.Signature):
    """A master key on its way into the lock.

    Members:
        value  byte 0 in bits 7..0
        size   in bytes, one of config.key_sizes
    """

    def __init__(self):
        super().__init__({"value": Out(256), "size": Out(6)})


def LockSignature(config: Config) -> wiring.Signature:
    """The loadable stream in; the head and the plain parameters out, each where it belongs. Nonce and tags end here. Each
    inference's parameters are locked on their own.

    Members:
        key            stable from the head, or from `start`, to the end of a run; with licences the device's, which the lock
                       itself keeps
        start          pulse: a run begins
        clear          drop and zeroise all contents
        locked         beats, each with its part
        head           beats of the head; `last` marks its last one
        plain          beats of parameters, opened; `last` marks an inference's last one
        forget         with licences: the model key goes, and does not come back while this is high
        terms          with licences: beats of a licence's terms; `last` marks its last one
        unlicensed     with licences, pulse: one of a licence's tags is wrong
        starved        a locked beat waits for the key stream, or for the cipher
        trusted        the last head that has passed is authentic; always, if the suite does not seal
        right, wrong   pulse: the parameters before this tag are authentic; a tag is not the one that it must be
    """
    size = config.bytes_per_beat
    beats = stream.Signature(beat_layout(size))
    return wiring.Signature(
        {
            "key": In(KeyWrites() if config.licences else MasterKey()),
            "start": In(1),
            "clear": In(1),
            "locked": In(stream.Signature(part_layout(config))),
            "head": Out(beats),
            "plain": Out(beats),
            "starved": Out(1),
            "trusted": Out(1),
            "right": Out(1),
            "wrong": Out(1),
        }
        | (
            {
                "forget": In(1),
                "terms": Out(stream.Signature(beat_layout(size), always_ready=True)),
                "unlicensed": Out(1),
            }
            if config.licences
            else {}
        )
    )


def lock_of(config: Config) -> wiring.Component:
    """The lock of `config.suite`: component `Lock` in this folder's file of the suite's name.

    Raises:
        DeeplockError: there is no such file.
    """
    file = config.suite.replace("-", "_")
    if find_spec(f"{__package__}.{file}") is None:
        raise DeeplockError(f"suite {config.suite} has no hardware: there is no hw/lock/{file}.py")
    return import_module(f"{__package__}.{file}").Lock(config)
