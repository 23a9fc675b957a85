"""The fast interpreter against the interpreter, which it must equal byte for byte."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from tests.random_networks import chains, network_of

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16, activation_words=2048, tables=True, products=True),
    Config(rows=4, cols=16, bytes_per_beat=4, lanes=1, accumulators=64, tables=True, products=True),
    Config(rows=4, cols=8, bytes_per_beat=8, dense=False, tables=True, products=True),
    Config(tables=True, products=True),
    Config(rows=16, cols=16, bytes_per_beat=16, tables=True, products=True),
]


def agree(loadable: Loadable, key: bytes, ifmaps: np.ndarray, config: Config) -> np.ndarray:
    """The ofmaps, on which both interpreters agree."""
    expected = interpreter.run(loadable, key, ifmaps, config)
    parameters = np.frombuffer(loadable.unlocked(key).parameters, np.uint8)
    found = fast_interpreter.run(loadable, parameters, ifmaps, config)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    return found


@settings(max_examples=100)
@given(chains(with_tables=True, with_products=True, with_outputs=True), st.sampled_from(CONFIGS), st.integers(0, 2**32))
def test_any_key_gives_the_interpreters_bytes_on_any_network(case, config, seed):
    """Strips, folded groups, diagonal layers, tables; a wrong key gives any bias of 24 or 32 bits and shifts up to 64."""
    network, ifmaps = case
    rng = np.random.default_rng(seed)
    try:
        loadable = compile_network(network, config, rng).locked("deep-lock", bytes(16))
    except DeeplockError as error:  # too large for this accelerator
        assert any(
            limit in str(error) for limit in ("one row of output takes", "a bank has", "program_words", "leaves out")
        )
        return
    for key in (bytes(16), rng.bytes(16), rng.bytes(32)):
        agree(loadable, key, ifmaps, config)


def dense(depth: int, channels: int, rng: np.random.Generator, **options) -> Conv:
    fixed = {
        "weight": rng.integers(-128, 128, (channels, 1, 1, depth), np.int8),
        "bias": rng.integers(-(2**20), 2**20, channels).astype(np.int32),
        "multiplier": rng.integers(2**15, 2**16, channels).astype(np.int32),
        "shift": rng.integers(24, 30, channels).astype(np.int32),
    }
    scalars = {"stride": (1, 1), "padding": (0, 0, 0, 0), "input_zero_point": 0, "zero_point": 3, "lo": -100, "hi": 120}
    return Conv("dense", "input", **fixed | scalars | options)


@pytest.mark.parametrize("extreme", [-128, 127])
@pytest.mark.parametrize("depth", [fast_interpreter.EXACT, fast_interpreter.EXACT + 1, 4000])
def test_long_sums_of_extreme_products_are_exact(depth, extreme):
    rng = np.random.default_rng(depth)
    network = network_of((1, 1, depth), dense(depth, 8, rng, weight=np.full((8, 1, 1, depth), extreme, np.int8)))
    ifmaps = np.stack([np.full((1, 1, depth), value, np.int8) for value in (-128, 127, 1)])
    config = Config()
    loadable = compile_network(network, config, rng).locked("deep-lock", bytes(16))
    assert loadable.program[0].narrow == 0
    for key in (bytes(16), bytes(15) + b"\1"):
        agree(loadable, key, ifmaps, config)


@pytest.mark.parametrize("shift", range(1, 65))
@pytest.mark.parametrize("narrow", [0, 1])
def test_every_shift_rounds_and_every_bias_wraps_as_it_should(narrow, shift):
    """Parameters that only a wrong key makes are written into a plain loadable: any bias, any shift, sums near a tie."""
    rng = np.random.default_rng(shift)
    config = Config()
    network = network_of((1, 1, 8), dense(8, 8, rng, lo=-128, hi=127))
    plain = compile_network(network, config, rng)
    entries = np.frombuffer(plain.parameters, np.uint8).copy()
    words = entries[:64].view("<u4").reshape(8, 2)
    ties = [1 << 31, (1 << 31) - 1, (1 << 23) - 1, 1 << 23, (1 << 32) - 1, 1 << (shift - 1) % 32, 0, 1]
    words[:, 0] = ties
    words[:, 1] = (shift - 1) << 16  # multiplier 2**15
    words[4:, 1] |= 0x7FFF  # 2**16 - 1
    program = (replace(plain.program[0], narrow=narrow),)
    loadable = replace(plain, program=program, parameters=entries.tobytes())
    ifmaps = np.concatenate([np.zeros((1, 1, 1, 8), np.int8), rng.integers(-128, 128, (200, 1, 1, 8), np.int8)])
    agree(loadable, b"", ifmaps, config)


def test_more_ifmaps_than_a_batch_keep_their_order():
    rng = np.random.default_rng(0)
    config = Config()
    layer = dense(8, 8, rng, bias=np.zeros(8, np.int32), shift=np.full(8, 24))
    loadable = compile_network(network_of((1, 1, 8), layer), config, rng)
    ofmaps = agree(loadable, b"", rng.integers(-128, 128, (150, 1, 1, 8), np.int8), config)
    assert len(np.unique(ofmaps.reshape(150, -1), axis=0)) > 100
