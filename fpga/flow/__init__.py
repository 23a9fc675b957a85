"""Synthesis, place and route, sweeps, bitstreams."""
