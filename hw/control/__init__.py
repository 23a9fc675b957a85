"""Registers, counters, the loadable's port, program sequencing."""
