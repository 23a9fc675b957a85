"""The interface of every scheme: protect a network, authorise whoever has the key, run.

A key is bytes, so that attacks can draw one, change a bit of one, or cross two, whatever the bytes mean to the scheme.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.schemes.victim import Victim

__all__ = ["Protected", "Scheme"]


@dataclass(frozen=True, eq=False)
class Protected:
    """What the owner hands out, and so what a thief has.

    network  name of its architecture
    content  the scheme's own data: parameters and whatever else is public
    """

    network: str
    content: Any


class Scheme(ABC):
    """One way to protect a network."""

    name: str

    @abstractmethod
    def protect(self, victim: Victim, seed: int) -> tuple[Protected, bytes]:
        """Protect the network with a key made from the seed; return what is handed out, and the key."""

    @abstractmethod
    def authorise(self, protected: Protected, key: bytes | None) -> nn.Module:
        """The network with this key, right or wrong, or without one (None), in evaluation mode."""

    @abstractmethod
    def random_key(self, protected: Protected, rng: np.random.Generator) -> bytes:
        """A key that someone who knows the scheme may guess."""

    def authorise_many(self, protected: Protected, keys: Iterable[bytes]) -> Iterator[nn.Module]:
        """The network with each of several keys."""
        return (self.authorise(protected, key) for key in keys)

    @torch.no_grad()
    def run(self, protected: Protected, key: bytes | None, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs [n, classes] for inputs [n, channels, height, width]."""
        return self.authorise(protected, key)(inputs)
