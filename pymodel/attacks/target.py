"""The target of an attack: a trained network, protected by a scheme."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.schemes.adv_params import AdvParams
from deeplock.pymodel.schemes.deep_lock import DeepLock
from deeplock.pymodel.schemes.fit import seeded
from deeplock.pymodel.schemes.hpnn import Hpnn
from deeplock.pymodel.schemes.scheme import Protected, Scheme
from deeplock.pymodel.schemes.secure_net import SecureNet
from deeplock.pymodel.schemes.victim import Labelled, Victim, load_victim, parameter_layers
from deeplock.pymodel.zoo import networks
from deeplock.pymodel.zoo.train import accuracy

__all__ = ["SCHEMES", "SCRATCH", "Target", "load_target", "measure", "scheme"]

SCRATCH = "scratch"
"""Takes the place of a scheme: nothing was stolen, and the attacker starts from random weights."""

# more passes over the training data if there are few images, and for the network that is hardest to train
_SECURE_NETS = {"digits": SecureNet(epochs=20, learning_rate=1e-2), "cifar10": SecureNet(epochs=4)}

_SCHEMES: dict[str, Callable[[str], Scheme]] = {
    "deep-lock": lambda network: DeepLock(),
    "hpnn": lambda network: Hpnn(),
    "adv-params": lambda network: AdvParams(),
    "secure-net": lambda network: _SECURE_NETS.get(network, SecureNet()),
}
SCHEMES = tuple(_SCHEMES)


def scheme(name: str, network: str) -> Scheme:
    """The scheme of that name, with its settings for the network."""
    if name not in _SCHEMES:
        raise DeeplockError(f"scheme must be one of {', '.join(SCHEMES)}, not {name}")
    return _SCHEMES[name](network)


@dataclass(frozen=True, eq=False)
class Target:
    """scheme  None if it is SCRATCH
    key        the right one: attacks use it only to judge their result
    """

    name: str
    victim: Victim
    scheme: Scheme | None
    protected: Protected | None
    key: bytes

    def stolen(self) -> nn.Module:
        """The network as a thief runs it without a key; for SCRATCH, one with He's random weights."""
        if self.scheme is None or self.protected is None:
            with seeded(0):
                module = networks.build(self.victim.name)
                for _, layer in parameter_layers(module):
                    nn.init.kaiming_uniform_(
                        layer.weight, nonlinearity="relu"
                    )  # He's: learns faster than PyTorch's own
                    nn.init.zeros_(layer.bias)  # pyright: ignore
            return module
        return self.scheme.authorise(self.protected, None)

    def locked(self) -> tuple[Scheme, Protected]:
        """Scheme and what it hands out, for attacks that need a key to look for."""
        if self.scheme is None or self.protected is None:
            raise DeeplockError(f"{self.name} has no key to attack")
        return self.scheme, self.protected


@cache
def load_target(network: str, scheme_name: str, seed: int, data_dir: str | None = None, images: int = 2_000) -> Target:
    """The trained network of that name, protected with a key that the seed gives; accuracies on `images` test images."""
    victim = load_victim(network, data_dir, images)
    if scheme_name == SCRATCH:
        return Target(SCRATCH, victim, None, None, b"")
    chosen = scheme(scheme_name, network)
    protected, key = chosen.protect(victim, seed)
    return Target(scheme_name, victim, chosen, protected, key)


@cache
def _inputs(images: Labelled) -> torch.Tensor:
    return images.inputs()


def measure(module: nn.Module, images: Labelled, narrow: bool = False) -> float:
    """Share (0..1) of images that the network gets right. narrow: in bfloat16 if the processor has it, for fitnesses."""
    narrow &= bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        return accuracy(module, _inputs(images), images.labels)
