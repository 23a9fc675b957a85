"""S-box, key schedule, keys and lock suites; locking of checkpoints."""
