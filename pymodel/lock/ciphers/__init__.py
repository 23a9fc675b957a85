"""Ciphers of the sealed suites. No suite is made of them yet."""
