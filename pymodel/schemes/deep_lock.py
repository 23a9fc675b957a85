"""Deep-Lock (arXiv 2008.05966): every parameter byte is S-box[byte XOR key byte]. The paper's software form, on float32."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.lock.checkpoint import Checkpoint, lock_checkpoint, unlock_checkpoint, unlock_with_keys
from deeplock.pymodel.lock.suite import ByteSuite
from deeplock.pymodel.lock.suites import deep_lock
from deeplock.pymodel.schemes.scheme import Protected, Scheme
from deeplock.pymodel.schemes.victim import Victim
from deeplock.pymodel.zoo import networks

__all__ = ["DeepLock", "checkpoint_of"]

_AT_ONCE = 1 << 27  # bytes of unlocked parameters held at a time


def checkpoint_of(module: nn.Module, network: str) -> Checkpoint:
    """The float checkpoint of a network's module, as `deeplock train` writes it."""
    tensors = {name: value.detach().contiguous().numpy() for name, value in module.state_dict().items()}
    return Checkpoint(tensors, {"network": network, "dataset": networks.dataset_of(network)})


def _module(network: str, tensors: Mapping[str, np.ndarray]) -> nn.Module:
    with torch.random.fork_rng():
        module = networks.build(network)
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
    return module.eval()


@dataclass(frozen=True)
class DeepLock(Scheme):
    """`Protected.content` is a locked `Checkpoint`; the key has 16 bytes."""

    name: str = "deep-lock"
    suite: ByteSuite = deep_lock.SUITE

    def protect(self, victim: Victim, seed: int) -> tuple[Protected, bytes]:
        key = np.random.default_rng(seed).bytes(16)
        return Protected(victim.name, lock_checkpoint(checkpoint_of(victim.module, victim.name), key, self.suite)), key

    def authorise(self, protected: Protected, key: bytes | None) -> nn.Module:
        locked: Checkpoint = protected.content
        opened = locked if key is None else unlock_checkpoint(locked, key, self.suite)
        return _module(protected.network, opened.tensors)

    def authorise_many(self, protected: Protected, keys: Iterable[bytes]) -> Iterator[nn.Module]:
        locked: Checkpoint = protected.content
        table = np.array([np.frombuffer(key, np.uint8) for key in keys])
        step = max(1, _AT_ONCE // sum(tensor.nbytes for tensor in locked.tensors.values()))
        for start in range(0, len(table), step):
            part = table[start : start + step]
            tensors = unlock_with_keys(locked, part, self.suite)
            for index in range(len(part)):
                yield _module(protected.network, {name: value[index] for name, value in tensors.items()})

    def random_key(self, protected: Protected, rng: np.random.Generator) -> bytes:
        return rng.bytes(16)
