"""Attacks on locked networks, one file each, with one interface (pymodel.attacks.attack). docs/security.md has the figures."""
