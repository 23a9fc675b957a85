"""The lock: unlock unit, key schedule, S-boxes."""
