"""Known plaintext and ciphertext only: keys come back, on checkpoints as `deeplock lock` makes them."""

import numpy as np
import pytest

from deeplock.pymodel.attacks import ciphertext_only, flat_table, known_plaintext
from deeplock.pymodel.attacks.byte_models import information, like, model_of, other_networks, weights_of
from deeplock.pymodel.attacks.ciphertext_only import Budget, locked_stream, recover_key
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, load, lock_checkpoint, save
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.suites.deep_lock import SUITE as LOCK
from deeplock.pymodel.schemes.deep_lock import checkpoint_of
from deeplock.pymodel.schemes.victim import dequantise
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import trained


def figures(results) -> dict[str, float]:
    return {result.metric: result.value for result in results}


def test_known_bytes_give_20_of_20_keys_of_every_size():
    found = figures(known_plaintext.run("digits", known_plaintext.FULL, 0))
    assert list(found.values()) == [1.0, 1.0, 1.0]
    assert [name.split(" from ")[1] for name in found] == ["16 known bytes", "24 known bytes", "32 known bytes"]


def test_too_few_known_bytes_leave_the_key_open():
    """Any 15 bytes go with 256 keys, one for each value of the 16th."""
    key = np.random.default_rng(1).bytes(16)
    known = expand_key(key, 16 * 41)[-16:]
    keys = set()
    for last in range(256):
        known[15] = last
        keys.add(known_plaintext.recover_key(LOCK.sbox[known], np.zeros(16, np.uint8), 640, LOCK))
    assert len(keys) == 256 and key in keys


def test_a_block_of_a_locked_file_opens_all_of_it(tmp_path):
    plain = checkpoint_of(dequantise(trained.load("digits")), "digits")
    key = np.random.default_rng(2).bytes(16)
    save(tmp_path / "locked", lock_checkpoint(plain, key, LOCK))
    locked, position = locked_stream(load(tmp_path / "locked"), "conv2.weight")
    known = np.frombuffer(plain.tensors["conv2.weight"].tobytes(), np.uint8)
    at = 400 + -position % 4
    found = known_plaintext.recover_key(locked[at : at + 16], known[at : at + 16], position + at, LOCK)
    assert found == key


def test_a_sigmoid_gives_20_of_20_keys_of_every_size():
    found = figures(flat_table.run("digits", flat_table.FULL, 0))
    assert list(found.values()) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("suite, with_table", [("deep-lock", False), ("tinyjambu", True)])
def test_without_a_table_or_with_a_suite_that_seals_there_is_no_key(suite, with_table):
    network = trained.load("digits")
    network = flat_table.with_sigmoid(network) if with_table else network
    loadable = compile_network(network, Config(tables=True), np.random.default_rng(0)).locked(suite, bytes(range(16)))
    with pytest.raises(DeeplockError, match="no table is flat at an end for 20 bytes"):
        flat_table.recover_key(loadable, 16)


def test_ciphertext_alone_gives_the_key_of_mnists_first_dense_layer():
    """A 256th of the search, the right states in it; `deeplock attack ciphertext-only --network mnist` does all of it."""
    found = figures(ciphertext_only.run("mnist", Budget(first=1, keys=3), 4))
    assert found["share of keys recovered"] == 1.0
    assert found["bits that a byte of ciphertext tells"] > 32 / 64  # 64 bytes a strand must tell 32 bits


def test_ciphertext_alone_gives_the_key_of_digits():
    assert figures(ciphertext_only.run("digits", ciphertext_only.QUICK, 0))["share of keys recovered"] == 1.0


@pytest.mark.slow  # a minute or two of both cores
def test_the_whole_search_finds_the_key_among_all():
    weights = weights_of("mnist")
    key = np.random.default_rng(77).bytes(16)
    data, position = locked_stream(lock_checkpoint(Checkpoint(weights), key, LOCK), "dense1.weight")
    model = model_of(like("dense1.weight", other_networks("mnist")))
    found = recover_key(data[:1040], position, model, LOCK)
    assert found.key == key
    assert found.candidates == 4 << 32


def test_uniform_plain_bytes_tell_nothing():
    """Without redundancy there is nothing to find: another key, no likelier than chance has it."""
    rng = np.random.default_rng(6)
    key = rng.bytes(16)
    locked = LOCK.sbox[rng.integers(0, 256, 1024, np.uint8) ^ expand_key(key, 1024)]
    model = model_of(like("dense1.weight", other_networks("mnist")))
    with pytest.raises(DeeplockError, match="no state of strand . is likely: not such parameters, or not AES-128"):
        recover_key(locked, 0, model, LOCK, first=lambda strand, block: range(1))


def test_what_a_byte_tells_is_its_redundancy():
    assert information(np.full((1, 256), 1 / 256)) == pytest.approx(0)
    half = np.zeros((1, 256)) + 1e-12
    half[0, :128] = 1 / 128
    assert information(half) == pytest.approx(1, abs=1e-6)
    assert information(half, np.arange(128)) == pytest.approx(1)


def test_the_model_is_of_other_networks():
    assert "mnist" not in other_networks("mnist")
    assert len(like("dense1.weight", other_networks("mnist"))) == 2
    assert {value.shape[1:] for value in like("conv9.weight", ["mnist"])} == {(5, 5, 1), (3, 3, 16)}
    assert {value.shape[1:] for value in like("block2.conv2.weight", ["mnist"])} == {(5, 5, 1), (3, 3, 16)}


def test_faults_are_named():
    with pytest.raises(DeeplockError, match="needs 16 whole blocks of 16 bytes, not 15"):
        recover_key(np.zeros(255, np.uint8), 0, np.full((1, 256), 1 / 256), LOCK)
    with pytest.raises(DeeplockError, match="no tensor 'x': must be one of a"):
        locked_stream(Checkpoint({"a": np.zeros(1, np.int8)}), "x")
