"""`seal`, and what the other commands do with sealed loadables."""

import json

import pytest

from deeplock.pymodel.spec.loadable import read_loadable
from tests.cli.conftest import ACCELERATOR

SEALED = ("acorn", "ascon", "tinyjambu")


@pytest.fixture
def sealed(files, deeplock, tmp_path):
    outcome = deeplock("seal", files.plain_loadable, "--key-file", files.key, "-o", tmp_path / "sealed")
    assert (outcome.code, outcome.err) == (0, "")
    return tmp_path / "sealed"


@pytest.mark.parametrize("suite", SEALED)
def test_a_sealed_loadable_opens_with_its_key_and_is_another_each_time(files, deeplock, refused, tmp_path, suite):
    one, other, opened, figures = (tmp_path / name for name in ("one", "other", "opened", "json"))
    about = ("--suite", suite, "--model", "0x123456789abcdef0", "--model-version", 7)
    outcome = deeplock("seal", files.plain_loadable, "--key-file", files.key, *about, "-o", one, "--json", figures)
    assert outcome.code == 0 and f"sealed by suite {suite}" in outcome.out
    size = one.stat().st_size
    expected = {"suite": suite, "model": 0x1234_5678_9ABC_DEF0, "model_version": 7, "bytes": size, "file": str(one)}
    assert json.loads(figures.read_text()) == expected
    assert deeplock("seal", files.plain_loadable, "--key-file", files.key, *about, "-o", other).code == 0
    assert read_loadable(one).parameters != read_loadable(other).parameters
    assert deeplock("unlock", one, "--key-file", files.key, "-o", opened).code == 0
    there, plain = read_loadable(opened), read_loadable(files.plain_loadable)
    assert there.parameters == plain.parameters and there.program == plain.program
    assert (there.header.model, there.header.model_version) == (0x1234_5678_9ABC_DEF0, 7)
    wrong = tmp_path / "wrong.key"
    assert deeplock("keygen", "-o", wrong).code == 0
    line = refused("unlock", one, "--key-file", wrong, "-o", tmp_path / "none")
    assert line == f"a tag is wrong: another key sealed it, or the {suite} loadable was changed"
    assert not (tmp_path / "none").exists()


def test_compile_seals_and_info_says_what_is_public(files, deeplock, tmp_path):
    path, figures = tmp_path / "sealed", tmp_path / "json"
    command = ("compile", files.network, *ACCELERATOR, "--suite", "ascon", "--key-file", files.key, "-o", path)
    outcome = deeplock(*command)
    assert outcome.code == 0 and "sealed by suite ascon" in outcome.out
    assert deeplock("info", path, "--json", figures).code == 0
    found = json.loads(figures.read_text())
    assert (found["suite"], found["locked"], found["sealed"], found["sbox"]) == ("ascon", True, True, None)
    assert "parameters" not in found["public"] and "layers, their shapes, order and addresses" in found["public"]
    assert deeplock("info", files.plain_loadable, "--json", figures).code == 0
    assert "parameters" in json.loads(figures.read_text())["public"]


def test_a_sealed_loadable_runs_on_the_rtl_and_in_the_interpreter(sealed, files, deeplock):
    outcome = deeplock("simulate", sealed, "--key-file", files.key, "--count", 2, "--simulator", "icarus")
    assert outcome.code == 0, outcome.err
    assert "acorn" in outcome.out
    assert deeplock("evaluate", sealed, "--key-file", files.key, "--count", 50).code == 0


def test_faults_are_named(sealed, files, refused, tmp_path):
    out = ("-o", tmp_path / "out")
    key = ("--key-file", files.key)
    assert refused("seal", sealed, *key, *out) == f"{sealed}: is locked already, by suite acorn"
    line = refused("seal", files.plain_loadable, *key, "--suite", "deep-lock", *out)
    assert line == "suite deep-lock does not seal: use `deeplock lock`"
    line = refused("lock", files.plain_loadable, *key, "--suite", "acorn", *out)
    assert line == "suite acorn seals: use `deeplock seal`"
    line = refused("lock", files.float_checkpoint, *key, "--suite", "acorn", *out)
    assert line.startswith("suite acorn seals loadables as a whole, and nothing else")
    assert refused("seal", files.plain_loadable, "--key-file", files.wrong_key, *out) == "key must be 16 bytes, not 32"
    assert "not a loadable" in refused("seal", files.float_checkpoint, *key, *out)
    line = refused("evaluate", sealed, "--wrong-keys", 2, "--count", 20)
    assert line == "suite acorn seals: a wrong key opens nothing, so leave --wrong-keys out"
    wrong = files.key.with_name("other.key")
    wrong.write_text("ab" * 16 + "\n")
    wrong.chmod(0o600)
    assert refused("evaluate", sealed, "--key-file", wrong, "--count", 20).startswith("a tag is wrong")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", ["-1", "18446744073709551616", "x"])
def test_a_model_is_a_number_of_64_bits(files, number, capsys, tmp_path):
    from deeplock.cli.main import main

    with pytest.raises(SystemExit):
        main(
            [
                "seal",
                str(files.plain_loadable),
                "--key-file",
                str(files.key),
                "--model",
                number,
                "-o",
                str(tmp_path / "o"),
            ]
        )
    assert "--model" in capsys.readouterr().err
