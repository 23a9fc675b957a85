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
    reg [7:0] expected [0:OFMAP_SIZE-1];
    reg [7:0] ofmap [0:OFMAP_SIZE-1];

    // AXI4-Lite: one access at a time, on one of the buses
    reg [12:0] address = 0;
    wire bus = address[12];
    reg [31:0] value = 0;
    reg awvalid = 0;
    reg wvalid = 0;
    reg arvalid = 0;
    wire [BUSES-1:0] awready, wready, bvalid, arready, rvalid;
    wire [2*BUSES-1:0] bresp, rresp;
    wire [32*BUSES-1:0] rdata;
    wire irq;

    task failed;
        $fatal(1, "the accelerator is not as it should be");
    endtask

@TRANSFERS@
    // Inputs change at falling edges.
    reg taken, taken_too;
    task write_register(input [12:0] to, input [31:0] data);
        begin
            @(negedge aclk);
            address = to;
            value = data;
            awvalid = 1;
            wvalid = 1;
            while (awvalid || wvalid) begin
                @(posedge aclk);
                taken = awready[bus];
                taken_too = wready[bus];
                @(negedge aclk);
                if (taken) awvalid = 0;
                if (taken_too) wvalid = 0;
            end
            while (!bvalid[bus]) @(negedge aclk);
            if (bresp[2*bus+:2] != 0) begin
                $display("FAIL: register %h refuses %h: response %0d", to, data, bresp[2*bus+:2]);
                failed;
            end
        end
    endtask

    reg [31:0] got;
    task read_register(input [12:0] from);
        begin
            @(negedge aclk);
            address = from;
            arvalid = 1;
            while (arvalid) begin
                @(posedge aclk);
                taken = arready[bus];
                @(negedge aclk);
                if (taken) arvalid = 0;
            end
            while (!rvalid[bus]) @(negedge aclk);
            got = rdata[32*bus+:32];
            if (rresp[2*bus+:2] != 0) begin
                $display("FAIL: register %h cannot be read: response %0d", from, rresp[2*bus+:2]);
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
            check_transfers;
            read_register(REG_STATUS);
            if (got[15:8] != 0) begin
                $display("FAIL: the accelerator stopped with error code %0d, see deeplock_regs.h", got[15:8]);
                failed;
            end
        end
    endtask

    integer i;
    initial begin
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
        offer_loadable;
        wait_for(INTERRUPT_LOADED);
        write_register(REG_COUNT, 1);
        offer_inference;
        write_register(REG_CONTROL, CONTROL_START);
        wait_for(INTERRUPT_DONE);
        await_ofmap;
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
        $display("FAIL: nothing more after %0d cycles:", TIMEOUT);
        show_progress;
        failed;
    end
endmodule
