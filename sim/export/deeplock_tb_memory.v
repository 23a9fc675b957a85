    // Memory behind AXI4: loadable, ifmap, and room for the ofmap. The first beat of a burst that is read comes LATENCY cycles
    // behind its address, the others one a cycle.
    reg [8*BEAT_BYTES-1:0] memory [0:MEMORY_BEATS-1];
    reg [31:0] burst_address [0:15];
    reg [8:0] burst_beats [0:15];
    integer burst_due [0:15];
    integer now = 0;
    integer asked = 0;
    integer answered = 0;
    integer read_beats = 0;
    integer written_beats = 0;
    reg [8:0] beat = 0;
    reg [8*BEAT_BYTES-1:0] read_data = 0;
    reg read_last = 0;
    reg read_valid = 0;
    reg write_answered = 0;
    wire [31:0] read_address, write_address;
    wire [7:0] read_length;
    wire [8*BEAT_BYTES-1:0] write_data;
    wire [BEAT_BYTES-1:0] write_strobes;
    wire read_asked, read_ready, write_asked, write_valid, write_seen;
    wire room = asked - answered < 16;
    wire written = write_asked && write_valid && !write_answered;

    @MODULE@ dut (
        .aclk(aclk),
        .aresetn(aresetn),
@REGISTERS@
        .m_axi_awid(),
        .m_axi_awaddr(write_address),
        .m_axi_awlen(),
        .m_axi_awsize(),
        .m_axi_awburst(),
        .m_axi_awcache(),
        .m_axi_awprot(),
        .m_axi_awvalid(write_asked),
        .m_axi_awready(written),
        .m_axi_wdata(write_data),
        .m_axi_wstrb(write_strobes),
        .m_axi_wlast(),
        .m_axi_wvalid(write_valid),
        .m_axi_wready(written),
        .m_axi_bid(1'b0),
        .m_axi_bresp(2'd0),
        .m_axi_bvalid(write_answered),
        .m_axi_bready(write_seen),
        .m_axi_arid(),
        .m_axi_araddr(read_address),
        .m_axi_arlen(read_length),
        .m_axi_arsize(),
        .m_axi_arburst(),
        .m_axi_arcache(),
        .m_axi_arprot(),
        .m_axi_arvalid(read_asked),
        .m_axi_arready(room),
        .m_axi_rid(1'b0),
        .m_axi_rdata(read_data),
        .m_axi_rresp(2'd0),
        .m_axi_rlast(read_last),
        .m_axi_rvalid(read_valid),
        .m_axi_rready(read_ready),
        .irq(irq)
    );

    initial $readmemh({FOLDER, "/memory.hex"}, memory, 0, OFMAP_AT / BEAT_BYTES - 1);

    integer lane;
    always @(posedge aclk) begin
        now <= now + 1;
        if (read_asked && room) begin
            burst_address[asked % 16] <= read_address;
            burst_beats[asked % 16] <= read_length + 9'd1;
            burst_due[asked % 16] <= now + LATENCY;
            asked <= asked + 1;
        end
        if (read_ready || !read_valid) begin
            read_valid <= 0;
            if (answered != asked && burst_due[answered % 16] <= now) begin
                read_valid <= 1;
                read_data <= memory[burst_address[answered % 16] / BEAT_BYTES + {23'd0, beat}];
                read_last <= beat + 9'd1 == burst_beats[answered % 16];
                read_beats <= read_beats + 1;
                beat <= beat + 9'd1;
                if (beat + 9'd1 == burst_beats[answered % 16]) begin
                    beat <= 0;
                    answered <= answered + 1;
                end
            end
        end
        if (write_seen) write_answered <= 0;
        if (written) begin  // the ofmap comes in bursts of one beat
            for (lane = 0; lane < BEAT_BYTES; lane = lane + 1)
                if (write_strobes[lane]) memory[write_address / BEAT_BYTES][8*lane+:8] <= write_data[8*lane+:8];
            write_answered <= 1;
            written_beats <= written_beats + 1;
        end
    end

    task transfer(input [31:0] command, input [31:0] at, input [31:0] size);
        begin
            write_register(REG_MEMORY_ADDRESS, at);
            write_register(REG_MEMORY_BYTES, size);
            write_register(REG_MEMORY_PACKETS, 1);
            write_register(REG_MEMORY_CONTROL, command);
        end
    endtask

    task offer_loadable;
        begin
            write_register(REG_MEMORY_INTERRUPT, MEMORY_INTERRUPT_ERROR);
            transfer(MEMORY_LOADABLE, 0, LOADABLE_BYTES);
        end
    endtask

    task offer_inference;
        begin
            transfer(MEMORY_OFMAP, OFMAP_AT, OFMAP_SIZE);
            transfer(MEMORY_IFMAP, IFMAP_AT, IFMAP_BYTES);
        end
    endtask

    task check_transfers;
        begin
            read_register(REG_MEMORY_STATUS);
            if (got[15:8] != 0) begin
                $display("FAIL: the memory master stopped with error code %0d, see deeplock_memory_regs.h", got[15:8]);
                failed;
            end
        end
    endtask

    integer byte_at;
    task await_ofmap;
        begin
            read_register(REG_MEMORY_STATUS);
            while (got[7:0] != MEMORY_STATUS_IDLE) check_transfers;
            for (byte_at = 0; byte_at < OFMAP_SIZE; byte_at = byte_at + 1)
                ofmap[byte_at] = memory[(OFMAP_AT + byte_at) / BEAT_BYTES][8*(byte_at%BEAT_BYTES)+:8];
        end
    endtask

    task show_progress;
        $display("%0d beats read, %0d written", read_beats, written_beats);
    endtask
