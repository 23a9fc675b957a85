"""`lock` and `unlock`, and what the lock does to a checkpoint (issue 2, Shows 3)."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deeplock.pymodel.lock.sbox import INV_SBOX
from deeplock.pymodel.spec.loadable import read_loadable

FIPS_197 = {  # key, last word of its expansion: appendix A.1 to A.3
    "2b7e151628aed2a6abf7158809cf4f3c": (176, "b6630ca6"),
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b": (208, "01002202"),
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": (240, "706c631e"),
}


def write_key(path, digits: str):
    path.write_text(digits + "\n")
    path.chmod(0o600)
    return path


def test_a_float_checkpoint_comes_back_byte_for_byte(files, deeplock, tmp_path):
    locked, unlocked, figures = tmp_path / "locked", tmp_path / "unlocked", tmp_path / "lock.json"
    assert deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", locked, "--json", figures).code == 0
    assert deeplock("unlock", locked, "--key-file", files.key, "-o", unlocked).code == 0
    assert unlocked.read_bytes() == files.float_checkpoint.read_bytes()
    before, between, after = map(load_file, (files.float_checkpoint, locked, unlocked))
    assert before.keys() == between.keys() == after.keys()
    for name in before:
        assert before[name].tobytes() == after[name].tobytes()
        assert before[name].tobytes() != between[name].tobytes()
        assert before[name].shape == between[name].shape
    found = json.loads(figures.read_text())
    assert found == {"kind": "checkpoint", "suite": "deep-lock", "bytes": locked.stat().st_size, "file": str(locked)}


def test_a_loadable_comes_back_byte_for_byte_and_hides_its_parameters(files, deeplock, tmp_path):
    locked, unlocked = tmp_path / "locked", tmp_path / "unlocked"
    assert deeplock("lock", files.plain_loadable, "--key-file", files.key, "-o", locked).code == 0
    assert deeplock("unlock", locked, "--key-file", files.key, "-o", unlocked).code == 0
    assert unlocked.read_bytes() == files.plain_loadable.read_bytes()
    plain, other = (np.frombuffer(read_loadable(path).parameters, np.uint8) for path in (files.plain_loadable, locked))
    assert 0 < (plain == other).mean() < 0.02  # 1 of 256 by chance


@pytest.mark.parametrize("digits", FIPS_197)
def test_the_stream_is_the_expanded_key_of_fips_197(digits, deeplock, tmp_path):
    length, last = FIPS_197[digits]
    zeros, locked = tmp_path / "zeros", tmp_path / "locked"
    save_file({"weight": np.zeros(length, np.int8)}, zeros)
    key = write_key(tmp_path / "key", digits)
    assert deeplock("lock", zeros, "--key-file", key, "-o", locked).code == 0
    stream = INV_SBOX[load_file(locked)["weight"].view(np.uint8)].tobytes()  # S^-1[S[0 ^ k]] = k
    assert stream[: len(digits) // 2].hex() == digits
    assert stream[-4:].hex() == last


def test_one_key_bit_changes_between_a_quarter_and_half_of_the_plaintext_bits(files, deeplock, tmp_path):
    """Less than half, because the AES key schedule mixes badly: tests/pymodel/lock/test_suites.py says how much, and why."""
    locked = tmp_path / "locked"
    key = bytearray(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    right = write_key(tmp_path / "right", key.hex())
    deeplock("lock", files.float_checkpoint, "--key-file", right, "-o", locked)
    plain = load_file(files.float_checkpoint)
    for bit in (0, 37, 127):
        changed = bytearray(key)
        changed[bit // 8] ^= 1 << bit % 8
        wrong = write_key(tmp_path / f"wrong{bit}", changed.hex())
        deeplock("unlock", locked, "--key-file", wrong, "-o", tmp_path / "garbage")
        garbage = load_file(tmp_path / "garbage")
        differ = [np.unpackbits((plain[n].view(np.uint32) ^ garbage[n].view(np.uint32)).view(np.uint8)) for n in plain]
        share = np.concatenate(differ).mean()
        print(f"key bit {bit} changes {share:.3f} of the plaintext bits")
        assert 0.25 < share < 0.55


def test_a_key_of_31_digits_is_refused(files, refused, tmp_path):
    key = write_key(tmp_path / "short", "0123456789abcdef0123456789abcde")
    line = refused("lock", files.float_checkpoint, "--key-file", key, "-o", tmp_path / "locked")
    assert line == f"key file {key}: needs 32, 48 or 64 hex digits, has 31"
    assert not (tmp_path / "locked").exists()


def test_what_cannot_be_locked_or_unlocked_is_refused(files, refused, tmp_path):
    out = ("-o", tmp_path / "out")
    assert "is locked already, by suite deep-lock" in refused("lock", files.loadable, "--key-file", files.key, *out)
    assert "lock its loadable" in refused("lock", files.network, "--key-file", files.key, *out)
    for path in (files.plain_loadable, files.float_checkpoint, files.network):
        assert "is not locked" in refused("unlock", path, "--key-file", files.key, *out)
    assert not (tmp_path / "out").exists()
