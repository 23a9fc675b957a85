"""What follows the array: requantisation, pooling and the ofmap buffer."""
