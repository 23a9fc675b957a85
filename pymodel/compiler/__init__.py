"""From the int8 network to the loadable; interpreters of loadables."""
