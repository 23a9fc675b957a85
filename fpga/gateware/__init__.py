"""What a board has around the accelerator: link, flash, clocks, top."""
