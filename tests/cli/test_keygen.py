import pytest

from deeplock.pymodel.lock.keyfile import read_key


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_is_written_for_its_owner_only_and_never_printed(size, deeplock, tmp_path):
    path = tmp_path / "new" / "my.key"
    outcome = deeplock("keygen", "--size", size, "-o", path)
    assert outcome.code == 0
    assert len(read_key(path)) == size
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).hex()[:8] not in outcome.out + outcome.err


def test_a_key_file_that_exists_is_kept(deeplock, refused, tmp_path):
    path = tmp_path / "my.key"
    deeplock("keygen", "-o", path)
    key = read_key(path)
    assert "exists already, and is kept" in refused("keygen", "-o", path)
    assert read_key(path) == key
