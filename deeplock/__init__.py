"""Hardware that runs locked neural networks, its models, compiler, simulation and FPGA flow: the one name that is installed.

The folders beside this file are links to the project's rooms, so that a path in the checkout and an import name are the same:
`hw/array/pe.py` is `deeplock.hw.array.pe`.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("deeplock")
