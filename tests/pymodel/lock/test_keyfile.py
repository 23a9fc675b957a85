import os
import re
import stat

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import generate_key, read_key, write_key

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")


@pytest.mark.parametrize("size", [16, 24, 32])
def test_generated_key_comes_back_from_its_file(tmp_path, size):
    key = generate_key(size)
    write_key(tmp_path / "key", key)
    assert len(key) == size and key != generate_key(size)
    assert read_key(tmp_path / "key") == key
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_the_owner_can_read(tmp_path, umask):
    path = tmp_path / "key"
    before = os.umask(umask)
    try:
        write_key(path, KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "key"
    path.write_text("precious")
    with pytest.raises(DeeplockError, match=f"^key file {re.escape(str(path))}: exists already, and is kept$"):
        write_key(path, KEY)
    assert path.read_text() == "precious" and os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_end_and_case_do_not_matter(tmp_path, end):
    path = tmp_path / "key"
    path.write_bytes((KEY.hex().upper() + end).encode())
    path.chmod(0o600)
    assert read_key(path) == KEY


@pytest.mark.parametrize(
    "text, fault",
    [
        (KEY.hex()[:31], "needs 32, 48 or 64 hex digits, has 31"),
        (KEY.hex() + "0", "needs 32, 48 or 64 hex digits, has 33"),
        ("", "needs 32, 48 or 64 hex digits, has 0"),
        (KEY.hex()[:9] + "g" + KEY.hex()[10:], "needs hex digits only, character 10 is none"),
        (KEY.hex() + "\n\n", "needs hex digits only, character 33 is none"),
        ("0x" + KEY.hex(), "needs hex digits only, character 2 is none"),
        ("\xff", "needs hex digits only, character 1 is none"),
    ],
)
def test_bad_file_is_named_in_one_line_that_holds_no_key(tmp_path, text, fault):
    path = tmp_path / "key"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DeeplockError) as caught:
        read_key(path)
    assert str(caught.value) == f"key file {path}: {fault}"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620])
def test_a_file_that_is_open_to_others_is_refused(tmp_path, mode):
    path = tmp_path / "key"
    path.write_text(KEY.hex())
    path.chmod(mode)
    with pytest.raises(DeeplockError, match=rf"is open to others \(mode {mode:04o}\): run `chmod 600 {path}`$"):
        read_key(path)


def test_a_key_of_zeros_is_refused(tmp_path):
    write_key(tmp_path / "key", bytes(24))
    with pytest.raises(DeeplockError, match="is all zeros, which anyone guesses"):
        read_key(tmp_path / "key")


def test_no_file_is_too_long(tmp_path):
    with pytest.raises(DeeplockError, match="key file /dev/zero: needs hex digits only, character 1 is none"):
        read_key("/dev/zero")
    (tmp_path / "key").write_bytes(b"a" * 100_000)
    with pytest.raises(DeeplockError, match="needs 32, 48 or 64 hex digits, has 256 or more$"):
        read_key(tmp_path / "key")


def test_a_key_may_come_through_a_pipe():
    """As from `--key-file <(pass show key)`."""
    ours, theirs = os.pipe()
    os.write(theirs, KEY.hex().encode())
    os.close(theirs)
    assert read_key(f"/dev/fd/{ours}") == KEY
    os.close(ours)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(DeeplockError, match=r"^key file .*/none: No such file or directory$"):
        read_key(tmp_path / "none")
    with pytest.raises(DeeplockError, match=r"^key file .*/none/key: No such file or directory$"):
        write_key(tmp_path / "none" / "key", KEY)


def test_other_key_sizes_are_refused(tmp_path):
    with pytest.raises(DeeplockError, match="^key must be 16, 24 or 32 bytes, not 20$"):
        generate_key(20)
    with pytest.raises(DeeplockError, match="^key must be 16, 24 or 32 bytes, not 15$"):
        write_key(tmp_path / "key", KEY[:15])
    assert os.listdir(tmp_path) == []
