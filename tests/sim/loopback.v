// In place of deeplock.v, to test what is around it: ofmaps are what came on the loadable's stream, ifmaps are only counted, and a
// register holds the word written last. `pause` stops a stream or delays a register, bit by bit.
module deeplock (
    input aclk, aresetn,
    input [11:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
    output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
    input [11:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
    output [31:0] s_axil_rdata, output [1:0] s_axil_rresp, output reg s_axil_rvalid, input s_axil_rready,
    input [31:0] s_axis_loadable_tdata, input s_axis_loadable_tlast, s_axis_loadable_tvalid, output s_axis_loadable_tready,
    input [31:0] s_axis_ifmap_tdata, input s_axis_ifmap_tlast, s_axis_ifmap_tvalid, output s_axis_ifmap_tready,
    output [31:0] m_axis_ofmap_tdata, output [3:0] m_axis_ofmap_tkeep, output m_axis_ofmap_tlast, m_axis_ofmap_tvalid,
    input m_axis_ofmap_tready, output irq
);
    reg [5:0] pause = 0;
    reg [3:0] keep = 15;
    reg [31:0] ifmap_beats = 0, ifmap_sum = 0, ifmap_packets = 0;

    assign s_axis_loadable_tready = m_axis_ofmap_tready & ~pause[0];
    assign m_axis_ofmap_tvalid = s_axis_loadable_tvalid & ~pause[0];
    assign m_axis_ofmap_tdata = s_axis_loadable_tdata;
    assign m_axis_ofmap_tlast = s_axis_loadable_tlast;
    assign m_axis_ofmap_tkeep = keep;
    assign s_axis_ifmap_tready = ~pause[1];

    reg [31:0] value [0:1023];
    reg [11:0] at;
    reg [31:0] data;
    reg has_address = 0, has_data = 0;
    assign s_axil_awready = ~has_address & ~pause[2];
    assign s_axil_wready = ~has_data & ~pause[3];
    assign s_axil_arready = ~s_axil_rvalid & ~pause[4];
    assign s_axil_rdata = value[at[11:2]];
    always @(posedge aclk) begin
        if (s_axis_ifmap_tvalid & s_axis_ifmap_tready) begin
            ifmap_beats <= ifmap_beats + 1;
            ifmap_sum <= ifmap_sum * 31 + s_axis_ifmap_tdata;
            ifmap_packets <= ifmap_packets + s_axis_ifmap_tlast;
        end
        if (s_axil_awvalid & s_axil_awready) begin
            at <= s_axil_awaddr;
            has_address <= 1;
        end
        if (s_axil_wvalid & s_axil_wready) begin
            data <= s_axil_wdata;
            has_data <= 1;
        end
        s_axil_bvalid <= 0;
        if (has_address & has_data & ~s_axil_bvalid & ~pause[5]) begin
            value[at[11:2]] <= data;
            s_axil_bvalid <= 1;
            has_address <= 0;
            has_data <= 0;
        end
        s_axil_rvalid <= s_axil_arvalid & s_axil_arready;
        if (s_axil_arvalid & s_axil_arready) at <= s_axil_araddr;
        if (~aresetn) {s_axil_bvalid, s_axil_rvalid, has_address, has_data, ifmap_beats, ifmap_sum, ifmap_packets} <= 0;
    end
endmodule
