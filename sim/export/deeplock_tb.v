// Self-checking testbench: an image through the accelerator of deeplock.v. Prints PASS, or FAIL with a reason and ends with an
// error. deeplock.v has the commands.
//
// The loadable is the network `digits`. The key is a throw-away key, drawn for this folder and used nowhere else.

`timescale 1ns / 1ps

module deeplock_tb;
@PARAMETERS@
    parameter FOLDER = "tb";

    reg aclk = 0;
    reg aresetn = 0;
    always #5 aclk = !aclk;

    reg [31:0] key [0:7];
    reg [8*LOADABLE_BYTES-1:0] loadable [0:LOADABLE_BEATS-1];
    reg [8*IFMAP_BYTES-1:0] ifmap [0:IFMAP_BEATS-1];
    reg [7:0] expected [0:OFMAP_SIZE-1];
    reg [7:0] ofmap [0:OFMAP_SIZE-1];

    // AXI4-Lite: one access at a time
    reg [11:0] address = 0;
    reg [31:0] value = 0;
    reg awvalid = 0;
    reg wvalid = 0;
    reg arvalid = 0;
    wire awready, wready, bvalid, arready, rvalid;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata;

    // streams: a beat whenever the accelerator takes one
    reg loading = 0;
    reg running = 0;
    integer loadable_beats = 0;
    integer ifmap_beats = 0;
    integer ofmap_bytes = 0;
    wire loadable_tvalid = loading && loadable_beats < LOADABLE_BEATS;
    wire ifmap_tvalid = running && ifmap_beats < IFMAP_BEATS;
    wire loadable_tready, ifmap_tready;
    wire [8*OFMAP_BYTES-1:0] ofmap_tdata;
    wire [OFMAP_BYTES-1:0] ofmap_tkeep;
    wire ofmap_tlast, ofmap_tvalid, irq;

    @MODULE@ dut (
        .aclk(aclk),
        .aresetn(aresetn),
        .s_axil_awaddr(address),
        .s_axil_awprot(3'd0),
        .s_axil_awvalid(awvalid),
        .s_axil_awready(awready),
        .s_axil_wdata(value),
        .s_axil_wstrb(4'hf),
        .s_axil_wvalid(wvalid),
        .s_axil_wready(wready),
        .s_axil_bresp(bresp),
        .s_axil_bvalid(bvalid),
        .s_axil_bready(1'b1),
        .s_axil_araddr(address),
        .s_axil_arprot(3'd0),
        .s_axil_arvalid(arvalid),
        .s_axil_arready(arready),
        .s_axil_rdata(rdata),
        .s_axil_rresp(rresp),
        .s_axil_rvalid(rvalid),
        .s_axil_rready(1'b1),
        .s_axis_loadable_tdata(loadable[loadable_beats % LOADABLE_BEATS]),
        .s_axis_loadable_tlast(loadable_beats == LOADABLE_BEATS - 1),
        .s_axis_loadable_tvalid(loadable_tvalid),
        .s_axis_loadable_tready(loadable_tready),
        .s_axis_ifmap_tdata(ifmap[ifmap_beats % IFMAP_BEATS]),
        .s_axis_ifmap_tlast(ifmap_beats == IFMAP_BEATS - 1),
        .s_axis_ifmap_tvalid(ifmap_tvalid),
        .s_axis_ifmap_tready(ifmap_tready),
        .m_axis_ofmap_tdata(ofmap_tdata),
        .m_axis_ofmap_tkeep(ofmap_tkeep),
        .m_axis_ofmap_tlast(ofmap_tlast),
        .m_axis_ofmap_tvalid(ofmap_tvalid),
        .m_axis_ofmap_tready(1'b1),
        .irq(irq)
    );

    task failed;
        $fatal(1, "the accelerator is not as it should be");
    endtask

    integer lane;
    always @(posedge aclk) begin
        if (loadable_tvalid && loadable_tready) loadable_beats <= loadable_beats + 1;
        if (ifmap_tvalid && ifmap_tready) ifmap_beats <= ifmap_beats + 1;
        if (ofmap_tvalid) begin
            for (lane = 0; lane < OFMAP_BYTES; lane = lane + 1)
                if (ofmap_tkeep[lane]) begin
                    if (ofmap_bytes < OFMAP_SIZE) ofmap[ofmap_bytes] = ofmap_tdata[8*lane+:8];
                    ofmap_bytes = ofmap_bytes + 1;
                end
            if (ofmap_tlast != (ofmap_bytes == OFMAP_SIZE)) begin
                $display("FAIL: the ofmap's tlast is %b behind byte %0d of %0d", ofmap_tlast, ofmap_bytes, OFMAP_SIZE);
                failed;
            end
        end
    end

    // Inputs change at falling edges.
    reg taken, taken_too;
    task write_register(input [11:0] to, input [31:0] data);
        begin
            @(negedge aclk);
            address = to;
            value = data;
            awvalid = 1;
            wvalid = 1;
            while (awvalid || wvalid) begin
                @(posedge aclk);
                taken = awready;
                taken_too = wready;
                @(negedge aclk);
                if (taken) awvalid = 0;
                if (taken_too) wvalid = 0;
            end
            while (!bvalid) @(negedge aclk);
            if (bresp != 0) begin
                $display("FAIL: register %h refuses %h: response %0d", to, data, bresp);
                failed;
            end
        end
    endtask

    reg [31:0] got;
    task read_register(input [11:0] from);
        begin
            @(negedge aclk);
            address = from;
            arvalid = 1;
            while (arvalid) begin
                @(posedge aclk);
                taken = arready;
                @(negedge aclk);
                if (taken) arvalid = 0;
            end
            while (!rvalid) @(negedge aclk);
            got = rdata;
            if (rresp != 0) begin
                $display("FAIL: register %h cannot be read: response %0d", from, rresp);
                failed;
            end
        end
    endtask

    // Until STATUS shows one of the causes; an error code is a failure.
    task wait_for(input [31:0] causes);
        begin
            write_register(REG_INTERRUPT, causes | INTERRUPT_ERROR);
            repeat (2) @(negedge aclk);  // irq follows
            while (!irq) @(negedge aclk);
            read_register(REG_STATUS);
            if (got[15:8] != 0) begin
                $display("FAIL: the accelerator stopped with error code %0d, see deeplock_regs.h", got[15:8]);
                failed;
            end
        end
    endtask

    integer i;
    initial begin
        $readmemh({FOLDER, "/loadable.hex"}, loadable);
        $readmemh({FOLDER, "/ifmap.hex"}, ifmap);
        $readmemh({FOLDER, "/ofmap.hex"}, expected);
        if (KEY_WORDS > 0) $readmemh({FOLDER, "/key.hex"}, key, 0, KEY_WORDS - 1);
        repeat (4) @(negedge aclk);
        aresetn = 1;
        read_register(REG_ID);
        if (got != ID_VALUE) begin
            $display("FAIL: register ID reads %h, not %h", got, ID_VALUE);
            failed;
        end
        if (KEY_WORDS > 0) write_register(REG_KEY_SIZE, 4 * KEY_WORDS);
        for (i = 0; i < KEY_WORDS; i = i + 1) write_register(REG_KEY0 + {i[9:0], 2'b00}, key[i]);
        write_register(REG_CONTROL, CONTROL_LOAD);
        loading = 1;
        wait_for(INTERRUPT_LOADED);
        write_register(REG_COUNT, 1);
        running = 1;
        write_register(REG_CONTROL, CONTROL_START);
        wait_for(INTERRUPT_DONE);
        while (ofmap_bytes < OFMAP_SIZE) @(negedge aclk);
        for (i = 0; i < OFMAP_SIZE; i = i + 1)
            if (ofmap[i] !== expected[i]) begin
                $display("FAIL: byte %0d of the ofmap is %h, not %h", i, ofmap[i], expected[i]);
                failed;
            end
        read_register(REG_CYCLES);
        $display("PASS: %0d bytes of ofmap are right, after %0d cycles", OFMAP_SIZE, got);
        $finish;
    end

    initial begin
        repeat (TIMEOUT) @(negedge aclk);
        $display("FAIL: nothing more after %0d cycles: %0d of %0d loadable beats, %0d of %0d ifmap beats, %0d of %0d ofmap bytes",
            TIMEOUT, loadable_beats, LOADABLE_BEATS, ifmap_beats, IFMAP_BEATS, ofmap_bytes, OFMAP_SIZE);
        failed;
    end
endmodule
