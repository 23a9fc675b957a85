"""What every part of the datapath is built of: layouts, loops, stream buffers, AXI."""
