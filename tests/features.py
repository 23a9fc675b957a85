"""Configurations without what small FPGAs leave out."""

from typing import Any

from deeplock.pymodel.spec.config import FEATURES, Config

__all__ = ["LEAN", "left_out"]

LEAN: dict[str, Any] = dict.fromkeys(FEATURES, False)
"""All of it left out."""


def left_out(config: Config) -> str:
    """Its FEATURES that the accelerator leaves out, and what it has besides, for a test's name."""
    changed = (name for name in FEATURES if getattr(config, name) != getattr(Config, name))
    return "".join(f"-{name}" if getattr(config, name) else f"-no_{name}" for name in changed)
