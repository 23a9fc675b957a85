"""Registers, counters, loadable port and sequencer."""
