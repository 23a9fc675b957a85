"""The accelerator behind its memory master, as a design that is built for simulation."""

from dataclasses import dataclass

from deeplock.hw.accelerator_with_memory import AcceleratorWithMemory
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import MemoryOptions

__all__ = ["MemoryDesign", "accelerator_with_memory"]


@dataclass(frozen=True)
class MemoryDesign:
    """An accelerator and its memory master."""

    config: Config
    options: MemoryOptions


def accelerator_with_memory(design: MemoryDesign) -> AcceleratorWithMemory:
    return AcceleratorWithMemory(design.config, design.options)
