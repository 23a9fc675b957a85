"""Schemes that protect a trained network with a key, one file each, with one interface (pymodel.schemes.scheme)."""
