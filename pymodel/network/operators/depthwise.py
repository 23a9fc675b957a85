"""Depthwise convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from deeplock.pymodel.network.convolution import Convolution
from deeplock.pymodel.network.lowering import Channelwise
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Depthwise", "of_any_size"]


@dataclass(frozen=True, eq=False)
class Depthwise(Convolution):
    """Each output channel reads only its own input channel. weight: int8 [channels, height, width, 1]."""

    kind = "depthwise"
    depthwise = True
    mapping = (
        "a diagonal layer whose weights come from the stream, a byte each: a product a cycle for each row of the array"
    )

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield from super().rules()
        yield "weight shape", self.weight.shape[3:] == (1,)

    def fits(self, shape: Shape) -> bool:
        return shape[2] == len(self.weight)

    def sums(self, columns: np.ndarray) -> np.ndarray:
        return np.einsum("nyxijc,cij->nyxc", columns, self.weight[..., 0], dtype=np.int64)

    def streamed(self, entries: Entries) -> Channelwise:
        return Channelwise(self.weight.reshape(len(self.weight), -1, 1), entries)


OPERATOR = Depthwise


def of_any_size(weight: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of one a channel, of which all but the sign is in their scales: they come out as 127 or -127.

    Bytes that an attacker can predict give key bytes away. So they become any of 64..127, by a hash of the secret scales, and
    the scales make up for it.
    """
    seed = sha256(scale.tobytes()).digest()
    size = np.random.default_rng(list(seed)).integers(64, 128, weight.shape)
    found = np.where(weight == 0, 0, np.sign(weight) * size).astype(np.int8)
    return found, scale * np.where(weight == 0, 1, np.abs(weight.astype(float)) / size).reshape(-1)
