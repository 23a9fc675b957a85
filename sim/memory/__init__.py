"""The accelerator behind its memory master, simulated with a memory."""
