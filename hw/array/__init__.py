"""The systolic array and its accumulators."""
