import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from deeplock.hw.accelerator import Accelerator
from deeplock.hw.basics.axi import AxiStream, flat_ports, receive, transmit
from deeplock.hw.basics.layouts import beat_layout
from deeplock.pymodel.spec.config import Config

CONFIG = Config(rows=8, cols=16, bytes_per_beat=16, lanes=4)
AXI_LITE = (
    "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready "
    "araddr arprot arvalid arready rdata rresp rvalid rready"
).split()


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
    ports = {name: len(port) for name, (port, _) in flat_ports(Accelerator(CONFIG)).items()}
    streams = {"s_axis_loadable": 16, "s_axis_ifmap": 8, "m_axis_ofmap": 4}
    assert set(ports) == {f"s_axil_{name}" for name in AXI_LITE} | {
        f"{prefix}_t{name}" for prefix in streams for name in ("data", "valid", "ready", "last")
    } | {"m_axis_ofmap_tkeep"}
    assert {prefix: ports[f"{prefix}_tdata"] // 8 for prefix in streams} == streams
    assert ports["s_axil_awaddr"] == ports["s_axil_araddr"] == 12
