"""What feeds the array: ifmap unfolding, activation memory, window feeder, weight loader."""
