"""The accelerator behind a memory master that is simulated: small, and its streams are of three widths."""

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.sim.memory.design import MemoryDesign

__all__ = ["DESIGN"]

DESIGN = MemoryDesign(
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, activation_words=1024, accumulators=64),
    MemoryOptions(burst=8, outstanding=4),
)
