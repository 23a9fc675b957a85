"""A small network with random weights, enough to use every part of the accelerator, and what it must compute."""

import numpy as np

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.tensor import Quantisation

__all__ = ["ACCUMULATORS_TOO_FEW", "KEY", "WRONG_KEY", "expected", "ifmaps", "tiny_loadable", "tiny_network"]

KEY = bytes(range(0x31, 0x41))
WRONG_KEY = bytes(range(0x61, 0x79))
ACCUMULATORS_TOO_FEW = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=32, activation_words=512)
"""A layer of the network takes several descriptors."""


def tiny_network(seed: int = 0, padding: bool = True, diagonal: bool = True) -> Network:
    """conv3x3 same 6, pool 2, conv3x3 same 9, overlapping pool, dense 10, on 9x9x1; for accelerators without padding the
    second convolution is a valid one, and for those without diagonal layers there is no pool behind it."""
    rng = np.random.default_rng(seed)

    def conv(
        name: str, source: str, shape: tuple[int, int, int, int], stride: int = 1, pad: int = 0, lo: int = -128
    ) -> Conv:
        out = shape[0]
        shift = 20 + int(np.log2(np.prod(shape[1:])) / 2) + rng.integers(0, 2, out)
        return Conv(
            name, source, rng.integers(-127, 128, shape).astype(np.int8), rng.integers(-3000, 3000, out).astype(np.int32),
            rng.integers(1 << 15, 1 << 16, out), shift, (stride, stride), (pad,) * 4, -5, -5, lo, 127,
        )  # fmt: skip

    layers = [
        conv("conv1", "input", (6, 3, 3, 1), pad=1, lo=-5),
        MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        conv("conv2", "pool1", (9, 3, 3, 6), pad=int(padding), lo=-5),
    ]
    side = 4 if padding else 2
    if diagonal:
        layers.append(MaxPool("pool2", "conv2", (2, 2), (1, 1)))
        side -= 1
    layers.append(conv("dense", layers[-1].name, (10, side, side, 9)))
    return Network("tiny", (9, 9, 1), Quantisation(1 / 16, -5), Quantisation(1 / 8, -5), tuple(layers))


def tiny_loadable(config: Config, seed: int = 0, batch: int = 1) -> Loadable:
    """Locked with KEY if the configuration locks."""
    loadable = compile_network(
        tiny_network(seed, config.padding, config.diagonal), config, np.random.default_rng(seed), batch
    )
    return loadable if config.suite == "plain" else loadable.locked(config.suite, KEY)


def ifmaps(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, 9, 9, 1)).astype(np.int8)


def expected(loadable: Loadable, config: Config, ifmaps: np.ndarray, key: bytes = KEY) -> np.ndarray:
    return interpreter.run(loadable, b"" if loadable.suite == "plain" else key, ifmaps, config)
