// PicoRV32 in its fastest form (multiplier in one step, barrel shifter, two-port registers), and a memory.
//
// `processor` is the part that an FPGA needs and that fpga/flow/riscv.py synthesises.
module processor (
    input clk,
    input reset,
    output trap,
    output valid,
    input ready,
    output [31:0] address,
    output [31:0] wdata,
    output [3:0] wstrb,
    input [31:0] rdata
);
    picorv32 #(
        .ENABLE_FAST_MUL(1), .BARREL_SHIFTER(1), .PROGADDR_RESET(32'h400)
    ) core (
        .clk(clk), .resetn(~reset), .trap(trap),
        .mem_valid(valid), .mem_instr(), .mem_ready(ready), .mem_addr(address), .mem_wdata(wdata), .mem_wstrb(wstrb),
        .mem_rdata(rdata),
        .mem_la_read(), .mem_la_write(), .mem_la_addr(), .mem_la_wdata(), .mem_la_wstrb(),
        .pcpi_valid(), .pcpi_insn(), .pcpi_rs1(), .pcpi_rs2(), .pcpi_wr(1'b0), .pcpi_rd(32'b0), .pcpi_wait(1'b0),
        .pcpi_ready(1'b0), .irq(32'b0), .eoi(), .trace_valid(), .trace_data()
    );
endmodule

// Memory: every access takes `latency` cycles longer than the core's least; writes are posted. 0x8000_0000 and up: read the
// cycle counter, write how it ends.
module soc #(
    parameter WORDS = 1 << 20
) (
    input clk,
    input reset,
    input [7:0] latency,
    output reg [1:0] ended  // 0: runs; 2: trap; else what was written
);
    reg [31:0] memory [0:WORDS - 1] /* verilator public_flat_rw */;
    reg [31:0] cycles;
    reg [7:0] waited;
    localparam BITS = $clog2(WORDS);

    wire valid, trap;
    wire [31:0] address, wdata;
    wire [3:0] wstrb;
    wire io = address[31];
    wire ready = valid & (wstrb != 0 | io | waited == latency);
    wire [BITS - 1:0] word = address[BITS + 1:2];

    always @(posedge clk) begin
        cycles <= cycles + 1;
        waited <= valid & ~ready ? waited + 1 : 0;
        if (ready & ~io) begin
            if (wstrb[0]) memory[word][7:0] <= wdata[7:0];
            if (wstrb[1]) memory[word][15:8] <= wdata[15:8];
            if (wstrb[2]) memory[word][23:16] <= wdata[23:16];
            if (wstrb[3]) memory[word][31:24] <= wdata[31:24];
        end
        if (ready & io & wstrb != 0) ended <= wdata[1:0];
        else if (trap) ended <= 2;
        if (reset) begin
            cycles <= 0;
            waited <= 0;
            ended <= 0;
        end
    end

    processor processor (
        .clk(clk), .reset(reset), .trap(trap), .valid(valid), .ready(ready), .address(address), .wdata(wdata),
        .wstrb(wstrb), .rdata(io ? cycles : memory[word])
    );
endmodule
