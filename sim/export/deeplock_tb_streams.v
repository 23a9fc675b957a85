    // The streams take and give a beat whenever they can.
    reg [8*LOADABLE_BYTES-1:0] loadable [0:LOADABLE_BEATS-1];
    reg [8*IFMAP_BYTES-1:0] ifmap [0:IFMAP_BEATS-1];
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
    wire ofmap_tlast, ofmap_tvalid;

    @MODULE@ dut (
        .aclk(aclk),
        .aresetn(aresetn),
@REGISTERS@
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

    initial begin
        $readmemh({FOLDER, "/loadable.hex"}, loadable);
        $readmemh({FOLDER, "/ifmap.hex"}, ifmap);
    end

    task offer_loadable;
        loading = 1;
    endtask

    task offer_inference;
        running = 1;
    endtask

    task check_transfers;  // the accelerator's error code says all
        begin
        end
    endtask

    task await_ofmap;
        while (ofmap_bytes < OFMAP_SIZE) @(negedge aclk);
    endtask

    task show_progress;
        $display("%0d of %0d loadable beats, %0d of %0d ifmap beats, %0d of %0d ofmap bytes",
            loadable_beats, LOADABLE_BEATS, ifmap_beats, IFMAP_BEATS, ofmap_bytes, OFMAP_SIZE);
    endtask
