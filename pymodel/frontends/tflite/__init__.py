"""Full-integer TensorFlow Lite files: read into a `Network`, and held against LiteRT."""
