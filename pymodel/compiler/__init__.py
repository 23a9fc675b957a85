"""The compiler, which turns the int8 network into a loadable; interpreters of loadables."""
