"""What the memory master's parts exchange: transfers, bursts, beats of reads; and a burst as AXI4 has it."""

from amaranth import Cat, Const, Value
from amaranth.lib import data
from amaranth.lib.wiring import PureInterface
from amaranth.utils import exact_log2

from deeplock.hw.basics.axi import Burst
from deeplock.pymodel.spec.memory import ADDRESS_BITS, BYTES_BITS, PACKETS_BITS

__all__ = ["TRANSFER", "burst_layout", "burst_on", "read_layout"]

TRANSFER = data.StructLayout({"address": ADDRESS_BITS, "bytes_1": BYTES_BITS, "packets": PACKETS_BITS})
"""`packets` packets of `bytes_1` + 1 bytes each, the first one from `address` on."""


def burst_layout(size: int, longest: int) -> data.StructLayout:
    """A burst of beats of `size` bytes: number of its first beat in memory, and its length minus one."""
    return data.StructLayout({"beat": ADDRESS_BITS - exact_log2(size), "length_1": exact_log2(longest)})


def read_layout(size: int) -> data.StructLayout:
    """A beat of `size` bytes that was read; `wrong`: with an error."""
    return data.StructLayout({"data": 8 * size, "wrong": 1})


def burst_on(port: PureInterface, channel: str, beat: Value, length_1: Value | int, size: int) -> list:
    """The assignments of all that channel `ar` or `aw` says of a burst: normal memory, bufferable, not cached, as data, secure
    and not privileged; ID 0."""
    values = {
        "id": 0,
        "addr": Cat(Const(0, exact_log2(size)), beat),
        "len": length_1,
        "size": exact_log2(size),
        "burst": Burst.INCR,
        "cache": 0b0011,
        "prot": 0,
    }
    return [getattr(port, channel + name).eq(value) for name, value in values.items()]
