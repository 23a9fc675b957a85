"""Ciphers of the sealed suites."""
