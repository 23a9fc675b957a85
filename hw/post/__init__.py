"""What follows the array: pooling and requantisation."""
