// VexRiscv (Wishbone, caches of 4 KB), and a memory for its instructions and data. With CFU defined, the core with a custom
// function unit's port and our unit behind it. With ACCELERATOR defined, accelerator.v beside the core.
//
// `processor` is the part that an FPGA needs and that fpga/flow/riscv.py synthesises, without interrupts.
module processor (
    input clk,
    input reset,
    output i_cyc,
    output i_stb,
    input i_ack,
    output [29:0] i_adr,
    input [31:0] i_miso,
    output [2:0] i_cti,
    output d_cyc,
    output d_stb,
    input d_ack,
    output d_we,
    output [29:0] d_adr,
    input [31:0] d_miso,
    output [31:0] d_mosi,
    output [3:0] d_sel,
    output [2:0] d_cti
);
`ifdef CFU
    wire cmd_valid, cmd_ready, rsp_valid, rsp_ready;
    wire [9:0] function_id;
    wire [31:0] operand, result;
    cfu unit (
        .clk(clk), .rst(reset),
        .cmd_valid(cmd_valid), .cmd_ready(cmd_ready), .function_id(function_id), .operand(operand),
        .rsp_valid(rsp_valid), .rsp_ready(rsp_ready), .result(result)
    );
`endif

    VexRiscv core (
        .clk(clk), .reset(reset),
        .externalResetVector(32'h400),
        .timerInterrupt(1'b0), .softwareInterrupt(1'b0), .externalInterruptArray(32'b0),
`ifdef CFU
        .CfuPlugin_bus_cmd_valid(cmd_valid), .CfuPlugin_bus_cmd_ready(cmd_ready),
        .CfuPlugin_bus_cmd_payload_function_id(function_id),
        .CfuPlugin_bus_cmd_payload_inputs_0(operand), .CfuPlugin_bus_cmd_payload_inputs_1(),
        .CfuPlugin_bus_rsp_valid(rsp_valid), .CfuPlugin_bus_rsp_ready(rsp_ready),
        .CfuPlugin_bus_rsp_payload_outputs_0(result),
`endif
        .iBusWishbone_CYC(i_cyc), .iBusWishbone_STB(i_stb), .iBusWishbone_ACK(i_ack), .iBusWishbone_WE(),
        .iBusWishbone_ADR(i_adr), .iBusWishbone_DAT_MISO(i_miso), .iBusWishbone_DAT_MOSI(), .iBusWishbone_SEL(),
        .iBusWishbone_ERR(1'b0), .iBusWishbone_CTI(i_cti), .iBusWishbone_BTE(),
        .dBusWishbone_CYC(d_cyc), .dBusWishbone_STB(d_stb), .dBusWishbone_ACK(d_ack), .dBusWishbone_WE(d_we),
        .dBusWishbone_ADR(d_adr), .dBusWishbone_DAT_MISO(d_miso), .dBusWishbone_DAT_MOSI(d_mosi),
        .dBusWishbone_SEL(d_sel), .dBusWishbone_ERR(1'b0), .dBusWishbone_CTI(d_cti), .dBusWishbone_BTE()
    );
endmodule

// Memory: a line (8 words, a burst) or word begins `latency` cycles after it is asked for, then a word a cycle; writes are
// posted, and cost a cycle. 0x8000_0000 and up bypasses the cache: read the cycle counter, write how it ends.
module soc #(
    parameter WORDS = 1 << 20,
    parameter LOADABLE = 8,  // bytes a beat of the accelerator's streams
    parameter IFMAP = 8,
    parameter OFMAP = 8
) (
    input clk,
    input reset,
    input [7:0] latency,
    output reg [1:0] ended  // 0: runs; else what was written
);
    reg [31:0] memory [0:WORDS - 1] /* verilator public_flat_rw */;
    reg [31:0] cycles;
    localparam BITS = $clog2(WORDS);

    wire i_cyc, i_stb, d_cyc, d_stb, d_we;
    wire [29:0] i_adr, d_adr;
    wire [31:0] d_mosi;
    wire [3:0] d_sel;
    wire [2:0] i_cti, d_cti;

    reg [7:0] i_wait, d_wait;
    wire d_io = d_adr[29];
    wire beside, beside_ack;  // an access to what accelerator.v has
    wire [31:0] beside_miso;
    wire i_ack = i_cyc & i_stb & (i_wait == latency);
    wire d_ack = d_cyc & d_stb & (beside ? beside_ack : d_we | d_io | d_wait == latency);
    wire [31:0] i_miso = memory[i_adr[BITS - 1:0]];
    wire [31:0] d_miso = beside ? beside_miso : d_io ? cycles : memory[d_adr[BITS - 1:0]];

    always @(posedge clk) begin
        cycles <= cycles + 1;
        if (i_cyc & i_stb & ~i_ack) i_wait <= i_wait + 1;
        else if (~i_cyc | (i_ack & i_cti != 3'b010)) i_wait <= 0;
        if (d_cyc & d_stb & ~d_ack) d_wait <= d_wait + 1;
        else if (~d_cyc | (d_ack & d_cti != 3'b010)) d_wait <= 0;
        if (d_ack & d_we & ~d_io) begin
            if (d_sel[0]) memory[d_adr[BITS - 1:0]][7:0] <= d_mosi[7:0];
            if (d_sel[1]) memory[d_adr[BITS - 1:0]][15:8] <= d_mosi[15:8];
            if (d_sel[2]) memory[d_adr[BITS - 1:0]][23:16] <= d_mosi[23:16];
            if (d_sel[3]) memory[d_adr[BITS - 1:0]][31:24] <= d_mosi[31:24];
        end
        if (d_ack & d_we & d_io & ~beside) ended <= d_mosi[1:0];
        if (reset) begin
            cycles <= 0;
            i_wait <= 0;
            d_wait <= 0;
            ended <= 0;
        end
    end

    processor processor (
        .clk(clk), .reset(reset),
        .i_cyc(i_cyc), .i_stb(i_stb), .i_ack(i_ack), .i_adr(i_adr), .i_miso(i_miso), .i_cti(i_cti),
        .d_cyc(d_cyc), .d_stb(d_stb), .d_ack(d_ack), .d_we(d_we), .d_adr(d_adr), .d_miso(d_miso), .d_mosi(d_mosi),
        .d_sel(d_sel), .d_cti(d_cti)
    );

`ifdef ACCELERATOR
    wire [31:0] loadable_at, ifmap_at, ofmap_at;
    wire [8*LOADABLE-1:0] loadable_data;
    wire [8*IFMAP-1:0] ifmap_data;
    wire [8*OFMAP-1:0] ofmap_data;
    wire [OFMAP-1:0] ofmap_write;
    assign beside = d_io & (d_adr[26] | d_adr[27]);
    accelerator #(.LOADABLE(LOADABLE), .IFMAP(IFMAP), .OFMAP(OFMAP)) accelerator (
        .clk(clk), .reset(reset), .latency(latency),
        .access(d_cyc & d_stb & beside), .dma(d_adr[27]), .we(d_we), .word(d_adr[9:0]), .mosi(d_mosi),
        .ack(beside_ack), .miso(beside_miso),
        .loadable_at(loadable_at), .loadable_data(loadable_data), .ifmap_at(ifmap_at), .ifmap_data(ifmap_data),
        .ofmap_at(ofmap_at), .ofmap_data(ofmap_data), .ofmap_write(ofmap_write)
    );

    genvar word;
    generate
        for (word = 0; word < LOADABLE / 4; word = word + 1)
            assign loadable_data[32 * word +: 32] = memory[loadable_at[BITS + 1:2] + word];
        for (word = 0; word < IFMAP / 4; word = word + 1)
            assign ifmap_data[32 * word +: 32] = memory[ifmap_at[BITS + 1:2] + word];
    endgenerate
    reg [31:0] to;
    integer lane;
    always @(posedge clk) begin
        to = ofmap_at;
        for (lane = 0; lane < OFMAP; lane = lane + 1)
            if (ofmap_write[lane]) begin
                memory[to[BITS + 1:2]][8 * to[1:0] +: 8] <= ofmap_data[8 * lane +: 8];
                to = to + 1;
            end
    end
`else
    assign {beside, beside_ack, beside_miso} = 0;
`endif
endmodule
