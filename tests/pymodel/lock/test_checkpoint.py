import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from safetensors.numpy import save as serialise

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import (
    Checkpoint,
    load,
    lock_checkpoint,
    save,
    unlock_checkpoint,
    unlock_with_keys,
)
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.sbox import SBOX
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.lock.suites.deep_lock import DeepLock

KEY = bytes(range(16))
DEEP_LOCK = suite("deep-lock")
SEED = 7


@pytest.fixture
def checkpoint():
    rng = np.random.default_rng(SEED)
    tensors = {
        "fc.weight": rng.normal(size=(4, 6)).astype(np.float32),
        "conv.weight": rng.integers(-128, 128, (2, 3, 3, 3)).astype(np.int8),
        "conv.bias": rng.normal(size=2).astype(np.float32),
        "scale": np.array(0.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }
    return Checkpoint(tensors, {"author": "test"})


def assert_same_tensors(a, b):
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape
        assert a[name].tobytes() == b[name].tobytes()


def test_locked_file_unlocks_to_the_same_bits(checkpoint, tmp_path):
    path = tmp_path / "network.safetensors"
    save(path, lock_checkpoint(checkpoint, KEY, DEEP_LOCK))
    locked = load(path)
    assert locked.metadata == {"author": "test", "deeplock": "locked", "suite": "deep-lock"}
    assert locked.locked_by == "deep-lock"
    unlocked = unlock_checkpoint(locked, KEY)
    assert_same_tensors(unlocked.tensors, checkpoint.tensors)
    assert unlocked.metadata == checkpoint.metadata and unlocked.locked_by is None


def test_locked_bytes_are_one_stream_in_order_of_names(checkpoint):
    locked = lock_checkpoint(checkpoint, KEY, DEEP_LOCK)
    names = ["conv.bias", "conv.weight", "empty", "fc.weight", "scale"]
    plain = np.frombuffer(b"".join(checkpoint.tensors[name].tobytes() for name in names), np.uint8)
    expected = SBOX[plain ^ expand_key(KEY, len(plain))]
    assert b"".join(locked.tensors[name].tobytes() for name in names) == expected.tobytes()


def test_other_tools_load_a_locked_file_with_its_shapes(checkpoint, tmp_path):
    path = tmp_path / "network.safetensors"
    save(path, lock_checkpoint(checkpoint, KEY, DEEP_LOCK))
    tensors = load_file(path)
    for name, tensor in checkpoint.tensors.items():
        assert tensors[name].shape == tensor.shape and tensors[name].dtype == tensor.dtype


def test_header_depends_on_no_key(checkpoint, tmp_path):
    headers = []
    for key in (KEY, bytes(32)):
        save(tmp_path / "file", lock_checkpoint(checkpoint, key, DEEP_LOCK))
        content = (tmp_path / "file").read_bytes()
        headers.append(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]))
    assert headers[0] == headers[1]


def test_memory_order_of_a_tensor_does_not_matter(checkpoint):
    turned = Checkpoint({name: np.asarray(t, order="F") for name, t in checkpoint.tensors.items()})
    big_endian = Checkpoint({name: t.astype(t.dtype.newbyteorder(">")) for name, t in checkpoint.tensors.items()})
    expected = lock_checkpoint(checkpoint, KEY, DEEP_LOCK).tensors
    assert_same_tensors(lock_checkpoint(turned, KEY, DEEP_LOCK).tensors, expected)
    assert_same_tensors(lock_checkpoint(big_endian, KEY, DEEP_LOCK).tensors, expected)


@pytest.mark.parametrize("count", [0, 3, 20])
def test_many_keys_give_what_each_gives_alone(checkpoint, count):
    locked = lock_checkpoint(checkpoint, KEY, DEEP_LOCK)
    keys = np.random.default_rng(SEED).integers(0, 256, (count, 16), np.uint8)
    keys[:1] = np.frombuffer(KEY, np.uint8)
    tensors = unlock_with_keys(locked, keys)
    for i, key in enumerate(keys):
        assert_same_tensors({n: t[i] for n, t in tensors.items()}, unlock_checkpoint(locked, key.tobytes()).tensors)
    for name, tensor in checkpoint.tensors.items():
        assert tensors[name].shape == (count, *tensor.shape)


def test_custom_sbox_must_be_given_again(checkpoint):
    custom = DeepLock(np.roll(SBOX, 1))
    locked = lock_checkpoint(checkpoint, KEY, custom)
    assert_same_tensors(unlock_checkpoint(locked, KEY, custom).tensors, checkpoint.tensors)
    wrong = unlock_checkpoint(locked, KEY).tensors["fc.weight"]
    assert wrong.tobytes() != checkpoint.tensors["fc.weight"].tobytes()


def test_state_of_the_lock_is_checked(checkpoint):
    locked = lock_checkpoint(checkpoint, KEY, DEEP_LOCK)
    with pytest.raises(DeeplockError, match="^checkpoint is locked already, by suite deep-lock$"):
        lock_checkpoint(locked, KEY, DEEP_LOCK)
    with pytest.raises(DeeplockError, match="^checkpoint is not locked$"):
        unlock_checkpoint(checkpoint, KEY)
    with pytest.raises(DeeplockError, match="^checkpoint is not locked$"):
        unlock_with_keys(checkpoint, np.zeros((1, 16), np.uint8))
    with pytest.raises(DeeplockError, match="^checkpoint is locked by suite deep-lock, not by plain$"):
        unlock_checkpoint(locked, KEY, suite("plain"))
    with pytest.raises(DeeplockError, match="^suite plain does not lock$"):
        lock_checkpoint(checkpoint, b"", suite("plain"))


def test_other_dtypes_are_refused_by_name(tmp_path):
    tensors = {"a": np.zeros(1, np.float32), "steps": np.zeros(3, np.int64)}
    with pytest.raises(DeeplockError, match="^tensor steps must be float32 or int8, not int64$"):
        lock_checkpoint(Checkpoint(tensors), KEY, DEEP_LOCK)
    path = tmp_path / "file"
    save_file(tensors, path)
    with pytest.raises(DeeplockError, match=f"^checkpoint {path}: tensor steps must be float32 or int8, not I64$"):
        load(path)


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_truncated_file_is_named_in_one_line(checkpoint, tmp_path, cut):
    path = tmp_path / "file"
    save(path, checkpoint)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DeeplockError, match=rf"^checkpoint {path}: not a whole safetensors file \([^\n]*\)$"):
        load(path)


def test_foreign_and_missing_files_are_named_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"PK\x03\x04 not safetensors at all")
    with pytest.raises(DeeplockError, match=rf"^checkpoint {tmp_path}/file: not a whole safetensors file \([^\n]*\)$"):
        load(tmp_path / "file")
    with pytest.raises(DeeplockError, match=f"^checkpoint {tmp_path}/none: No such file or directory$"):
        load(tmp_path / "none")
    with pytest.raises(DeeplockError, match=f"^checkpoint {tmp_path}: Is a directory$"):
        load(tmp_path)


def test_file_is_whole_or_the_old_one(checkpoint, tmp_path):
    save(tmp_path / "file", checkpoint)
    save(tmp_path / "file", lock_checkpoint(checkpoint, KEY, DEEP_LOCK))
    assert load(tmp_path / "file").locked_by == "deep-lock"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(DeeplockError, match=f"^{tmp_path}/none/file: No such file or directory$"):
        save(tmp_path / "none" / "file", checkpoint)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"network": "ü", "dataset": "digits", "seed": "0"}])
def test_lock_and_unlock_give_the_same_file_back(tmp_path, metadata):
    """Byte for byte, header included, if the file's metadata keys are in order, as ours are."""
    path, locked = tmp_path / "plain", tmp_path / "locked"
    rng = np.random.default_rng(1)
    tensors = {"b.weight": rng.normal(size=(3, 5)).astype(np.float32), "a": rng.integers(-128, 128, 7).astype(np.int8)}
    save(path, Checkpoint(tensors, metadata or {}))
    if metadata is None or len(metadata) == 1:
        assert path.read_bytes() == serialise(tensors, metadata), "as the library writes it"
    for _ in range(3):
        save(locked, lock_checkpoint(load(path), bytes(16), suite("deep-lock")))
        save(locked, unlock_checkpoint(load(locked), bytes(16)))
        assert locked.read_bytes() == path.read_bytes()
