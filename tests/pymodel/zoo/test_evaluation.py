"""Many keys and whole test sets against the interpreter and the golden model, one after the other."""

import numpy as np
import pytest

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import evaluation
from tests.random_networks import network_of

CONFIG = Config(rows=4, cols=4, bytes_per_beat=4)


def conv(rng: np.random.Generator, name: str, source: str, *shape: int) -> Conv:
    out = shape[0]
    return Conv(
        name,
        source,
        weight=rng.integers(-127, 128, shape, np.int8),
        bias=rng.integers(-(2**12), 2**12, out).astype(np.int32),
        multiplier=rng.integers(2**15, 2**16, out).astype(np.int32),
        shift=np.full(out, 24, np.int32),
        stride=(1, 1),
        padding=(1, 1, 1, 1) if shape[1] == 3 else (0, 0, 0, 0),
        input_zero_point=-128,
        zero_point=-128,
        lo=-128,
        hi=127,
    )


@pytest.fixture
def case() -> tuple[Network, np.ndarray]:
    """A network and more ifmaps than one piece of work."""
    rng = np.random.default_rng(5)
    layers = (
        conv(rng, "a", "input", 6, 3, 3, 2),
        MaxPool("pool", "a", (2, 2), (2, 2)),
        conv(rng, "b", "pool", 10, 2, 2, 6),
    )
    return network_of((4, 4, 2), *layers), rng.integers(-128, 128, (1100, 4, 4, 2), np.int8)


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_key_and_loadable_in_order(case, monkeypatch, workers, size):
    network, ifmaps = case
    rng = np.random.default_rng(size)
    keys = rng.integers(0, 256, (5, size), np.uint8)
    loadable = compile_network(network, CONFIG, rng).locked("deep-lock", keys[2].tobytes())
    monkeypatch.setattr(evaluation, "_STREAMS", 2 * len(loadable.parameters))  # two keys at a time
    told = []
    found = evaluation.ofmaps_of_keys(loadable, keys, ifmaps, CONFIG, workers, lambda *state: told.append(state))
    assert len(found) == 5
    for key, ofmaps in zip(keys, found, strict=True):
        assert np.array_equal(ofmaps, interpreter.run(loadable, key.tobytes(), ifmaps, CONFIG))
    expected = golden.run(network, ifmaps)["b"]
    assert len(np.unique(expected)) > 50
    assert [np.array_equal(ofmaps, expected) for ofmaps in found] == [False, False, True, False, False]
    assert told == sorted(told)
    assert told[-1] == ("ifmaps through the interpreter", 5 * 1100, 5 * 1100)


def test_the_golden_model_in_parts_is_the_golden_model(case):
    network, ifmaps = case
    told = []
    found = evaluation.golden_ofmaps(network, ifmaps, 2, lambda *state: told.append(state))
    assert np.array_equal(found, golden.run(network, ifmaps)["b"])
    assert told[-1] == ("ifmaps through the golden model", 1100, 1100)


def test_accuracy_counts_the_first_of_equal_largest_values():
    ofmaps = np.array([[1, 5, 5], [7, 7, 7], [-3, -2, -1], [0, 9, 1]], np.int8).reshape(4, 1, 1, 3)
    assert evaluation.accuracy(ofmaps, np.array([1, 0, 2, 0])) == 0.75


def test_a_plain_loadable_takes_no_keys(case):
    network, ifmaps = case
    with pytest.raises(DeeplockError, match="suite plain takes no key"):
        evaluation.ofmaps_of_keys(compile_network(network, CONFIG), np.zeros((1, 16), np.uint8), ifmaps, CONFIG)
