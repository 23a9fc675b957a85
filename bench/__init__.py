"""Measurements: each gives the rows of a file in docs/results."""
