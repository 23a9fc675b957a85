"""The memory master: AXI4 between a memory and the accelerator's streams."""
