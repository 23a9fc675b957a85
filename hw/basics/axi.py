"""AXI4, AXI4-Lite and AXI4-Stream: signatures, adapters to Amaranth streams, and the port names of a top module.

Signals as in AMBA AXI and ACE Protocol Specification (ARM IHI 0022, part B) and AMBA AXI4-Stream (ARM IHI 0051).
"""

from enum import IntEnum

from amaranth import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

__all__ = [
    "Axi4",
    "AxiLite",
    "AxiRead",
    "AxiStream",
    "AxiWrite",
    "Burst",
    "Response",
    "flat_ports",
    "receive",
    "transmit",
]


class Response(IntEnum):
    """Values of bresp and rresp."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


class Burst(IntEnum):
    """Values of arburst and awburst: addresses that follow each other."""

    INCR = 1


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32-bit data, seen from the manager."""

    def __init__(self, address_bits: int):
        super().__init__({
            "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
            "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })  # fmt: skip


def _address(channel: str, address_bits: int) -> dict[str, Member]:
    fields = {"id": 1, "addr": address_bits, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
    return {f"{channel}{name}": Out(bits) for name, bits in fields.items()} | {f"{channel}ready": In(1)}


class AxiRead(wiring.Signature):
    """The read channels of AXI4 with `bytes` bytes of data and an ID of a bit, seen from the manager. Left out is what AXI4
    has defaults for: lock, QoS, region and user signals."""

    def __init__(self, bytes: int, address_bits: int):
        super().__init__(
            _address("ar", address_bits)
            | {"rid": In(1), "rdata": In(8 * bytes), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1)}
        )


class AxiWrite(wiring.Signature):
    """The write channels, as AxiRead."""

    def __init__(self, bytes: int, address_bits: int):
        super().__init__(
            _address("aw", address_bits)
            | {"wdata": Out(8 * bytes), "wstrb": Out(bytes), "wlast": Out(1), "wvalid": Out(1), "wready": In(1)}
            | {"bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1)}
        )


class Axi4(wiring.Signature):
    """AxiRead and AxiWrite."""

    def __init__(self, bytes: int, address_bits: int):
        halves = AxiWrite(bytes, address_bits), AxiRead(bytes, address_bits)
        super().__init__({name: member for half in halves for name, member in half.members.items()})


class AxiStream(wiring.Signature):
    """AXI4-Stream of `bytes` bytes a beat, seen from the transmitter; with tkeep if `keep`."""

    def __init__(self, bytes: int, keep: bool = False):
        super().__init__(
            {"tdata": Out(8 * bytes)}
            | ({"tkeep": Out(bytes)} if keep else {})
            | {"tlast": Out(1), "tvalid": Out(1), "tready": In(1)}
        )


def _payload(port) -> Value:
    keep = [port.tkeep] if "tkeep" in port.signature.members else []
    return Cat(port.tdata, *keep, port.tlast)


def receive(m: Module, port, beats) -> None:
    """Connect an incoming AXI4-Stream to a stream of `beat_layout` (hw.basics.layouts) with the same fields."""
    m.d.comb += [beats.payload.eq(_payload(port)), beats.valid.eq(port.tvalid), port.tready.eq(beats.ready)]


def transmit(m: Module, beats, port) -> None:
    """Connect a stream of `beat_layout` to an outgoing AXI4-Stream with the same fields."""
    m.d.comb += [_payload(port).eq(beats.payload), port.tvalid.eq(beats.valid), beats.ready.eq(port.tready)]


def flat_ports(top: wiring.Component) -> dict[str, tuple[Value, None]]:
    """The ports of `top` for amaranth.back.verilog.convert, under the names that AXI tools and cocotbext-axi expect:
    `awaddr` of member `s_axil` becomes `s_axil_awaddr`. Amaranth alone would join the two with two underscores. An undriven
    output would become an input."""
    return {"_".join(map(str, path)): (Value.cast(port), None) for path, _, port in top.signature.flatten(top)}
