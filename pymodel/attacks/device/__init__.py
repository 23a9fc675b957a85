"""Attacks by whoever holds a device with the key inside, one file each, with one interface (target.py)."""
