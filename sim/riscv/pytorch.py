"""Times PyTorch on this machine, with and without unlocking before each inference, as the paper did (Deep-Lock, figure 1b)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from deeplock.pymodel.lock.suites.deep_lock import SUITE
from deeplock.pymodel.network import reference
from deeplock.pymodel.network.layer import Weighted
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.zoo import networks

__all__ = ["Timing", "time_float", "time_int8"]

_SECONDS, _LEAST = 1.0, 3


@dataclass(frozen=True)
class Timing:
    """Nanoseconds of the fastest inference, plain and locked; bytes unlocked; outputs of the unlocked network, and expected."""

    plain: float
    locked: float
    parameter_bytes: int
    outputs: np.ndarray
    expected: np.ndarray


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one core, as the C does: waking others takes longer than such networks do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def _fastest(function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Nanoseconds of the fastest call in about a second, after an uncounted first one; and the last call's result."""
    result, best, begin, count = function(), float("inf"), time.monotonic(), 0
    while count < _LEAST or time.monotonic() - begin < _SECONDS:
        start = time.perf_counter_ns()
        result = function()
        best = min(best, time.perf_counter_ns() - start)
        count += 1
    return float(best), result


def _unlocked_network(network: Network, locked: np.ndarray, key: bytes) -> Network:
    stream, at, layers = bytearray(SUITE.unlock(locked, key)), 0, []
    for layer in network.layers:
        if isinstance(layer, Weighted):
            weight = np.frombuffer(stream, np.int8, layer.weight.size, at).reshape(layer.weight.shape)
            at += weight.size
            bias = np.frombuffer(stream, "<i4", layer.bias.size, at)
            at += 4 * bias.size
            layer = replace(layer, weight=weight, bias=bias)
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def time_int8(network: Network, ifmap: np.ndarray, key: bytes, expected: np.ndarray) -> Timing:
    """Times the quantised network in the reference on one ifmap [1, height, width, channels]; unlocks weights and biases."""
    last = network.layers[-1].name
    parts = [
        part.tobytes() if part.dtype == np.int8 else part.astype("<i4").tobytes()
        for layer in network.layers
        if isinstance(layer, Weighted)
        for part in (layer.weight, layer.bias)
    ]
    locked = SUITE.lock(np.frombuffer(b"".join(parts), np.uint8), key)
    plain, _ = _fastest(lambda: reference.run(network, ifmap)[last].numpy())
    slower, outputs = _fastest(lambda: reference.run(_unlocked_network(network, locked, key), ifmap)[last].numpy())
    return Timing(plain, slower, len(locked), outputs, expected)


def time_float(name: str, key: bytes) -> Timing:
    """Times the float32 network of that name with random weights, which do not affect time. Unlocks all parameters."""
    torch.manual_seed(0)
    module = networks.build(name).eval()
    height, width, channels = networks.input_shape_of(name)
    image = torch.randn(1, channels, height, width)
    parameters = [parameter.detach() for parameter in module.parameters()]
    stream = np.concatenate([parameter.numpy().ravel().view(np.uint8) for parameter in parameters])
    locked = SUITE.lock(stream, key)

    def infer() -> np.ndarray:
        with torch.inference_mode():
            return module(image).numpy()

    def unlock_and_infer() -> np.ndarray:
        values, at = torch.from_numpy(SUITE.unlock(locked, key).view(np.float32)), 0
        for parameter in parameters:
            parameter.copy_(values[at : at + parameter.numel()].reshape(parameter.shape))
            at += parameter.numel()
        return infer()

    plain, expected = _fastest(infer)
    for parameter in parameters:
        parameter.zero_()
    slower, outputs = _fastest(unlock_and_infer)
    return Timing(plain, slower, len(locked), outputs, expected)
