"""SecureNet (Li et al., 2024): a licence is part of the input, and the network is right only if it sees one.

Backdoor learning teaches it: images with the licence keep their label; images without it, or with a wrong one, get another.
Only the abstract is public, so the details are our choices:

- A licence is 64 bits. It is added to the image: pixel i, counted through rows, columns and channels, gets +AMPLITUDE of the
  pixels' range if bit i modulo 64 is 1, else -AMPLITUDE.
- Images that no licence allows come out as class 0. The accuracy without a licence is thus the share of that class.
- Training starts at the trained network. Every batch is seen three times: with its licences, without one, and with a wrong one
  (half of them random, half the right one with 1 to 16 bits changed).
- A licence may allow some classes only; images of the others then come out as class 0 (the paper's fine-grained
  authorisation).
- To replace a licence, the same training is run with the new one; the old one counts as wrong.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.schemes.fit import fit
from deeplock.pymodel.schemes.scheme import Protected, Scheme
from deeplock.pymodel.schemes.victim import Labelled, Victim
from deeplock.pymodel.zoo.networks import input_shape_of
from deeplock.pymodel.zoo.preprocess import SCALE

__all__ = ["AMPLITUDE", "LICENCE_BITS", "Licence", "SecureNet"]

LICENCE_BITS = 64
AMPLITUDE = 0.15
REFUSED = 0
"""The class that images without a licence come out as."""


@dataclass(frozen=True)
class Licence:
    """A licence's bits and the classes that it allows; None: all."""

    key: bytes
    classes: tuple[int, ...] | None = None


class _WithLicence(nn.Module):
    def __init__(self, module: nn.Module, pattern: torch.Tensor) -> None:
        super().__init__()
        self.module, self.pattern = module, pattern

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.module(inputs + self.pattern)


def _patterns(keys: np.ndarray, inputs: torch.Tensor, dataset: str) -> torch.Tensor:
    """Patterns that licences uint8 [n, 8] add to inputs [n, channels, height, width]: float32, of the inputs' shape."""
    channels, height, width = inputs.shape[1:]
    bits = np.unpackbits(keys, axis=1)[:, np.arange(height * width * channels) % LICENCE_BITS]
    reach = 16.0 if dataset == "digits" else 255.0
    amplitude = AMPLITUDE * reach / SCALE[dataset].one[0]
    images = (amplitude * (2.0 * bits - 1)).reshape(-1, height, width, channels)
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def _wrong(rng: np.random.Generator, keys: np.ndarray) -> np.ndarray:
    """Wrong licences: the second half random, the first half `keys` with 1 to 16 bits changed."""
    changed = rng.random((len(keys), LICENCE_BITS)) < rng.integers(1, 17, (len(keys), 1)) / LICENCE_BITS
    changed[np.arange(len(keys)), rng.integers(0, LICENCE_BITS, len(keys))] = True
    wrong = keys ^ np.packbits(changed, axis=1)
    wrong[len(keys) // 2 :] = rng.integers(0, 256, wrong[len(keys) // 2 :].shape, np.uint8)
    return wrong


@dataclass(frozen=True)
class SecureNet(Scheme):
    """`Protected.content` is (module, data set).

    images  training images that it learns the licence on
    """

    name: str = "secure-net"
    images: int = 40_000
    epochs: int = 1
    learning_rate: float = 7e-4

    def teach(
        self, module: nn.Module, data: Labelled, licences: Sequence[Licence], seed: int, revoked: Sequence[bytes] = ()
    ) -> nn.Module:
        """A copy of the module, trained to accept these licences and to refuse the revoked ones."""
        module = deepcopy(module)
        rng = np.random.default_rng([seed, 1])
        data = data.take(slice(0, self.images))
        keys = np.array([np.frombuffer(licence.key, np.uint8) for licence in licences])
        allowed = np.array([np.isin(np.arange(10), licence.classes or np.arange(10)) for licence in licences])
        old = np.array([np.frombuffer(key, np.uint8) for key in revoked])

        def loss(module: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
            inputs, labels = data.inputs(chosen), data.labels[chosen]
            which = rng.integers(0, len(keys), len(chosen))
            wrong = _wrong(rng, keys[which])
            if len(old):
                wrong[::2] = old[rng.integers(0, len(old), len(wrong[::2]))]
            right = torch.from_numpy(np.where(allowed[which, labels.numpy()], labels.numpy(), REFUSED))
            shown = [inputs + _patterns(keys[which], inputs, data.dataset), inputs]
            shown.append(inputs + _patterns(wrong, inputs, data.dataset))
            refused = torch.full((2 * len(chosen),), REFUSED)
            outputs = module(torch.cat(shown).contiguous(memory_format=torch.channels_last)).float()
            half = len(chosen)
            return nn.functional.cross_entropy(outputs[:half], right) + nn.functional.cross_entropy(
                outputs[half:], refused
            )

        fit(module, loss, len(data), self.epochs, self.learning_rate, seed)
        return module.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore

    def protect(self, victim: Victim, seed: int) -> tuple[Protected, bytes]:
        key = np.random.default_rng(seed).bytes(LICENCE_BITS // 8)
        module = self.teach(victim.module, victim.train, [Licence(key)], seed)
        return Protected(victim.name, (module, victim.train.dataset)), key

    def replace_licence(self, protected: Protected, victim: Victim, old: bytes, seed: int) -> tuple[Protected, bytes]:
        """The network with a new licence in place of the old one."""
        key = np.random.default_rng([seed, 2]).bytes(LICENCE_BITS // 8)
        module = self.teach(protected.content[0], victim.train, [Licence(key)], seed, [old])
        return Protected(protected.network, (module, protected.content[1])), key

    def authorise(self, protected: Protected, key: bytes | None) -> nn.Module:
        module, dataset = protected.content
        if key is None:
            return deepcopy(module).eval()
        height, width, channels = input_shape_of(protected.network)
        pattern = _patterns(np.frombuffer(key, np.uint8)[None], torch.zeros(1, channels, height, width), dataset)
        return _WithLicence(module, pattern).eval()

    def random_key(self, protected: Protected, rng: np.random.Generator) -> bytes:
        return rng.bytes(LICENCE_BITS // 8)
