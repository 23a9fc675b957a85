"""Gateware around the accelerator on a board: link, flash, clocks, top."""
