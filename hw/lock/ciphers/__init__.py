"""The ciphers of the sealed suites as hardware. No suite is made of them yet."""
