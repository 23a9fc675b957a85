"""The models and the compiler: what is computed, byte for byte, and how a network becomes a loadable."""
