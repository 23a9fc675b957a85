"""Networks of one or two layers for whole-core tests of the sealed suites: an inference takes some hundred cycles."""

from dataclasses import replace
from functools import partial

import numpy as np

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.tensor import Quantisation
from tests.sim import tiny

__all__ = ["HALF_BEATS", "config_of", "ifmaps", "mini_loadable", "wide_loadable"]

HALF_BEATS = 16
"""Beats of `cols` bytes in half of the ofmap buffer of `config_of`."""


def config_of(suite: str) -> Config:
    """A small accelerator with the smallest ofmap buffer."""
    config = tiny.ACCUMULATORS_TOO_FEW.with_suite(suite)
    return replace(config, ofmap_bytes=2 * HALF_BEATS * config.cols)


def _conv(rng: np.random.Generator, name: str, source: str, shape: tuple[int, int, int, int]) -> Conv:
    out = shape[0]
    return Conv(
        name, source, rng.integers(-127, 128, shape).astype(np.int8), rng.integers(-3000, 3000, out).astype(np.int32),
        rng.integers(1 << 15, 1 << 16, out), 21 + rng.integers(0, 2, out), (1, 1), (0,) * 4, -5, -5, -128, 127,
    )  # fmt: skip


def _compiled(config: Config, shape: tuple[int, int, int], layers: list[Conv], batch: int) -> Loadable:
    network = Network("mini", shape, Quantisation(1 / 16, -5), Quantisation(1 / 8, -5), tuple(layers))
    return compile_network(network, config, np.random.default_rng(0), batch)


def mini_loadable(config: Config, seed: int = 0, batch: int = 1) -> Loadable:
    """conv3x3 3, dense 6 on 5x5x1, plain. The seed changes the parameters and nothing else."""
    conv = partial(_conv, np.random.default_rng(seed))
    return _compiled(
        config, (5, 5, 1), [conv("conv", "input", (3, 3, 3, 1)), conv("dense", "conv", (6, 3, 3, 3))], batch
    )


def wide_loadable(config: Config, pixels: int) -> Loadable:
    """conv3x3 4, plain: its ofmap is so many beats, a multiple of 4. `config` may have a larger buffer than the device."""
    conv = _conv(np.random.default_rng(1), "conv", "input", (4, 3, 3, 1))
    return _compiled(config, (6, 2 + pixels // 4, 1), [conv], 1)


def ifmaps(loadable: Loadable, count: int, seed: int = 0) -> np.ndarray:
    shape = count, *loadable.interface.input_shape
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
