// The exported accelerator (deeplock.v) behind the core's bus: registers by AXI4-Lite, streams by DMA.
//
// Byte addresses of the bus, words only:
//   0x9000_0000  registers of the accelerator
//   0xa000_0000  DMA: address and bytes of a packet, two words each for loadable, ifmap and ofmap; writing the bytes begins it
//   0xa000_0018  read 1: the whole ofmap has come. Write: drop the packets of which nothing has moved
//
// Each stream has a port of the memory, as wide as a beat. What is read comes as to the core: the first beat of 8 after `latency`
// cycles, then a beat a cycle. Writes are posted.
module accelerator #(
    parameter LOADABLE = 8,  // bytes a beat
    parameter IFMAP = 8,
    parameter OFMAP = 8
) (
    input clk,
    input reset,
    input [7:0] latency,

    input access,  // of the core, until ack
    input dma,
    input we,
    input [9:0] word,
    input [31:0] mosi,
    output ack,
    output [31:0] miso,

    output [31:0] loadable_at,  // byte addresses
    input [8*LOADABLE-1:0] loadable_data,
    output [31:0] ifmap_at,
    input [8*IFMAP-1:0] ifmap_data,
    output [31:0] ofmap_at,
    output [8*OFMAP-1:0] ofmap_data,
    output [OFMAP-1:0] ofmap_write  // bytes that go to ofmap_at and behind it
);
    // Registers: an access ends with its response.
    reg address_taken, data_taken;
    wire register = access & ~dma;
    wire awvalid = register & we & ~address_taken;
    wire wvalid = register & we & ~data_taken;
    wire arvalid = register & ~we & ~address_taken;
    wire awready, wready, arready, bvalid, rvalid;
    wire [31:0] rdata;
    always @(posedge clk) begin
        if (awvalid & awready | arvalid & arready) address_taken <= 1;
        if (wvalid & wready) data_taken <= 1;
        if (reset | ack) {address_taken, data_taken} <= 0;
    end

    wire came;
    wire set = access & dma & we;
    assign ack = access & (dma | bvalid | rvalid);
    assign miso = dma ? {31'b0, came} : rdata;

    reg [31:0] address;  // of the packet whose bytes come next
    always @(posedge clk) if (set & ~word[0]) address <= mosi;
    wire drop = set & word[2:0] == 6;

    wire loadable_tvalid, loadable_tready, loadable_tlast, ifmap_tvalid, ifmap_tready, ifmap_tlast;
    wire ofmap_tvalid, ofmap_tready, ofmap_tlast;
    wire [OFMAP-1:0] ofmap_tkeep;
    reader #(.BYTES(LOADABLE)) loadable (
        .clk(clk), .reset(reset), .latency(latency), .begin_packet(set & word[2:0] == 1), .address(address), .size(mosi),
        .drop(drop), .at(loadable_at), .tvalid(loadable_tvalid), .tready(loadable_tready), .tlast(loadable_tlast)
    );
    reader #(.BYTES(IFMAP)) ifmap (
        .clk(clk), .reset(reset), .latency(latency), .begin_packet(set & word[2:0] == 3), .address(address), .size(mosi),
        .drop(drop), .at(ifmap_at), .tvalid(ifmap_tvalid), .tready(ifmap_tready), .tlast(ifmap_tlast)
    );
    writer #(.BYTES(OFMAP)) ofmap (
        .clk(clk), .reset(reset), .begin_packet(set & word[2:0] == 5), .address(address), .size(mosi), .drop(drop), .came(came),
        .at(ofmap_at), .write(ofmap_write),
        .tkeep(ofmap_tkeep), .tvalid(ofmap_tvalid), .tready(ofmap_tready), .tlast(ofmap_tlast)
    );

    deeplock core (
        .aclk(clk), .aresetn(~reset),
        .s_axil_awaddr({word, 2'b0}), .s_axil_awprot(3'b0), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(mosi), .s_axil_wstrb(4'hf), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(), .s_axil_bvalid(bvalid), .s_axil_bready(1'b1),
        .s_axil_araddr({word, 2'b0}), .s_axil_arprot(3'b0), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(), .s_axil_rvalid(rvalid), .s_axil_rready(1'b1),
        .s_axis_loadable_tdata(loadable_data), .s_axis_loadable_tlast(loadable_tlast),
        .s_axis_loadable_tvalid(loadable_tvalid), .s_axis_loadable_tready(loadable_tready),
        .s_axis_ifmap_tdata(ifmap_data), .s_axis_ifmap_tlast(ifmap_tlast),
        .s_axis_ifmap_tvalid(ifmap_tvalid), .s_axis_ifmap_tready(ifmap_tready),
        .m_axis_ofmap_tdata(ofmap_data), .m_axis_ofmap_tkeep(ofmap_tkeep), .m_axis_ofmap_tlast(ofmap_tlast),
        .m_axis_ofmap_tvalid(ofmap_tvalid), .m_axis_ofmap_tready(ofmap_tready),
        .irq()
    );
endmodule

// Packets of whole beats from memory to a stream: one on its way, and one behind it.
module reader #(
    parameter BYTES = 8
) (
    input clk,
    input reset,
    input [7:0] latency,
    input begin_packet,
    input [31:0] address,
    input [31:0] size,
    input drop,
    output reg [31:0] at,
    output tvalid,
    input tready,
    output tlast
);
    reg [31:0] left, next_at, next_left;
    reg begun;
    reg [7:0] waited;
    reg [2:0] beat;
    wire taken = tvalid & tready;
    wire idle = left == 0 | taken & tlast;
    assign tvalid = left != 0 & waited == latency;
    assign tlast = left <= BYTES;

    always @(posedge clk) begin
        if (left != 0 & waited != latency) waited <= waited + 1;
        if (taken) begin
            at <= at + BYTES;
            left <= left - BYTES;
            begun <= 1;
            beat <= beat + 1;
            if (beat == 7) waited <= 0;
        end
        if (idle) begin
            at <= next_at;
            left <= next_left;
            next_left <= 0;
            begun <= 0;
            waited <= 0;
            beat <= 0;
        end
        if (begin_packet) begin
            next_at <= address;
            next_left <= size;
        end
        if (drop) begin
            next_left <= 0;
            if (idle | ~(begun | taken)) left <= 0;
        end
        if (reset) begin
            left <= 0;
            next_left <= 0;
        end
    end
endmodule

// A packet from a stream to memory, without the bytes that are not kept. More than `size` bytes are not written.
module writer #(
    parameter BYTES = 8
) (
    input clk,
    input reset,
    input begin_packet,
    input [31:0] address,
    input [31:0] size,
    input drop,
    output came,
    output reg [31:0] at,
    output reg [BYTES-1:0] write,
    input [BYTES-1:0] tkeep,
    input tvalid,
    output tready,
    input tlast
);
    reg [31:0] left;
    reg armed;
    reg [31:0] count;
    integer i;
    assign tready = armed;
    assign came = ~armed & left == 0;

    always @* begin
        count = 0;
        write = 0;
        for (i = 0; i < BYTES; i = i + 1)
            if (tvalid & tready & tkeep[i] & count < left) begin
                write[i] = 1;
                count = count + 1;
            end
    end

    always @(posedge clk) begin
        at <= at + count;
        left <= left - count;
        if (tvalid & tready & tlast) armed <= 0;
        if (begin_packet) begin
            at <= address;
            left <= size;
            armed <= 1;
        end
        if (reset | drop) armed <= 0;
        if (reset) left <= 1;
    end
endmodule
