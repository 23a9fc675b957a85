"""FPGA systems: boards, gateware around the accelerator, synthesis flow, host."""
