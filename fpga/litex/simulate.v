// A clock, and the SoC's console. The character 4 ends the simulation, 24 with an error.
module simulate;
    reg clk = 0;
    wire valid;
    wire [7:0] data;
    integer cycles = 0;

    soc soc (
        .sys_clk(clk),
        .serial_source_valid(valid),
        .serial_source_ready(1'b1),
        .serial_source_data(data),
        .serial_sink_valid(1'b0),
        .serial_sink_ready(),
        .serial_sink_data(8'd0)
    );

    always #5 clk = !clk;

    always @(posedge clk) begin
        cycles <= cycles + 1;
        if (valid) begin
            if (data == 8'd4) $finish;
            else if (data == 8'd24) $fatal(1, "the program says so");
            else $write("%c", data);
        end
        if (cycles == 20000000) $fatal(1, "FAIL: no end after %0d cycles", cycles);
    end
endmodule
