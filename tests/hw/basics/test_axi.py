import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from deeplock.hw.accelerator import Accelerator
from deeplock.hw.basics.axi import AxiStream, flat_ports, receive, transmit
from deeplock.hw.basics.layouts import beat_layout
from deeplock.pymodel.spec.config import Config

CONFIG = Config(rows=4, cols=8, bytes_per_beat=8, lanes=1)
AXI_LITE = {
    "input": "awaddr awprot awvalid wdata wstrb wvalid bready araddr arprot arvalid rready",
    "output": "awready wready bresp bvalid arready rdata rresp rvalid",
}
WIDTHS = {"addr": 12, "prot": 3, "data": 32, "strb": 4, "resp": 2}


class Ends(wiring.Component):
    """An AXI4-Stream that comes in, as a stream, and a stream that goes out, as an AXI4-Stream."""

    def __init__(self, keep: bool):
        axi, beats = AxiStream(2, keep), stream.Signature(beat_layout(2, keep))
        super().__init__({"axi_in": In(axi), "beats_out": Out(beats), "beats_in": In(beats), "axi_out": Out(axi)})

    def elaborate(self, platform) -> Module:
        m = Module()
        receive(m, self.axi_in, self.beats_out)
        transmit(m, self.beats_in, self.axi_out)
        return m


@pytest.mark.parametrize("keep", [False, True])
def test_a_beat_goes_field_by_field_with_its_handshake(keep):
    dut = Ends(keep)

    async def testbench(ctx):
        for data, kept, last, valid, ready in ((0xA1B2, 1, 0, 1, 0), (0x0304, 2, 1, 0, 1), (0xFFFF, 3, 1, 1, 1)):
            beat = {"data": data, "last": last} | ({"keep": kept} if keep else {})
            for name, value in beat.items():
                ctx.set(getattr(dut.axi_in, f"t{name}"), value)
            ctx.set(dut.beats_in.payload, beat)
            for port in (dut.axi_in.tvalid, dut.beats_in.valid):
                ctx.set(port, valid)
            for port in (dut.axi_out.tready, dut.beats_out.ready):
                ctx.set(port, ready)
            for name, value in beat.items():
                assert ctx.get(dut.beats_out.payload[name]) == ctx.get(getattr(dut.axi_out, f"t{name}")) == value
            assert ctx.get(dut.beats_out.valid) == ctx.get(dut.axi_out.tvalid) == valid
            assert ctx.get(dut.axi_in.tready) == ctx.get(dut.beats_in.ready) == ready

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


def test_ports_of_the_accelerator_are_named_as_axi_names_them():
    """What users' designs, cocotbext-axi and sim/native.cpp connect to."""
    top = Accelerator(CONFIG)
    text = rtlil.convert(top, name="top", ports=flat_ports(top), emit_src=False)
    module = text.partition("\nmodule \\top\n")[2].partition("\nend\n")[0]
    found = re.findall(r"^  wire width (\d+) (input|output) \d+ +\\(\w+)$", module, re.MULTILINE)
    ports = {name: (direction, int(width)) for width, direction, name in found}
    streams = {"s_axis_loadable": 8, "s_axis_ifmap": 4, "m_axis_ofmap": 1}
    expected = dict.fromkeys(("clk", "rst"), ("input", 1))
    expected |= dict.fromkeys(("m_axis_ofmap_tkeep", "irq"), ("output", 1))
    for prefix, size in streams.items():
        to, back = ("output", "input") if prefix[0] == "m" else ("input", "output")
        expected |= {f"{prefix}_tdata": (to, 8 * size), f"{prefix}_tready": (back, 1)}
        expected |= {f"{prefix}_t{name}": (to, 1) for name in ("valid", "last")}
    for direction, names in AXI_LITE.items():
        expected |= {f"s_axil_{name}": (direction, WIDTHS.get(name[-4:], 1)) for name in names.split()}
    assert ports == expected
