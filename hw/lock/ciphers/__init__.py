"""The ciphers of the sealed suites as hardware."""
