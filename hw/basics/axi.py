"""Flat AXI members, so that the generated Verilog has the port names that AXI tools and cocotbext-axi expect.

Signals as in AMBA AXI and ACE Protocol Specification (ARM IHI 0022, part B) and AMBA AXI4-Stream (ARM IHI 0051).
"""

from enum import IntEnum

from amaranth.lib.wiring import Flow, In, Member, Out

__all__ = ["Response", "axi_lite_members", "axi_stream_members"]


class Response(IntEnum):
    """Values of bresp and rresp."""

    OKAY = 0
    SLVERR = 2


def axi_lite_members(prefix: str, address_bits: int) -> dict[str, Member]:
    """Members of an AXI4-Lite slave with 32-bit data: `prefix`_awaddr ... `prefix`_rready."""
    members = {
        "awaddr": In(address_bits), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
        "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
        "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
        "araddr": In(address_bits), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
        "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
    }  # fmt: skip
    return {f"{prefix}_{name}": member for name, member in members.items()}


def axi_stream_members(prefix: str, direction: Flow, bytes: int, keep: bool = False) -> dict[str, Member]:
    """Members of an AXI4-Stream of `bytes` per beat: `prefix`_tdata, _tvalid, _tready, _tlast and, if `keep`, _tkeep.

    direction   In where the component takes the stream, Out where it gives it
    """
    members = {
        "tdata": Member(direction, 8 * bytes),
        "tvalid": Member(direction, 1),
        "tready": Member(direction.flip(), 1),
        "tlast": Member(direction, 1),
    }
    if keep:
        members["tkeep"] = Member(direction, bytes)
    return {f"{prefix}_{name}": member for name, member in members.items()}
