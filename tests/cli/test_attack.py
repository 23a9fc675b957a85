import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from distributed import LocalCluster

from deeplock.bench import attacks as attack_lab
from deeplock.pymodel.attacks import on_file
from deeplock.pymodel.attacks.byte_models import weights_of
from deeplock.pymodel.attacks.catalogue import COLUMNS
from deeplock.pymodel.attacks.ciphertext_only import recover_key
from deeplock.pymodel.attacks.native import compile_library
from deeplock.pymodel.attacks.strands import last_word_bytes
from deeplock.pymodel.lock.checkpoint import Checkpoint, load, save
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.keyfile import read_key
from deeplock.report.attack_report import security_figures, security_tables

FIGURES = ("--network", "digits", "--count", 100)


@pytest.fixture
def laboratory(deeplock, tmp_path):
    """Runs attacks on digits; gives what the result file says and what was printed."""

    def run(*arguments: object) -> tuple[dict, str]:
        outcome = deeplock("attack", *arguments, *FIGURES, "--json", tmp_path / "security.json")
        assert outcome.code == 0, outcome.err
        return json.loads((tmp_path / "security.json").read_text()), outcome.out + outcome.err

    return run


def test_one_attack_gives_rows_of_the_schema(laboratory):
    found, printed = laboratory("pruning", "--scheme", "hpnn")
    (row,) = found["rows"]
    assert tuple(row) == COLUMNS
    assert (row["scheme"], row["attack"], row["network"], row["seeds"]) == ("hpnn", "pruning", "digits", [0])
    assert row["budget"] == {"shares": [0.1, 0.5], "test_images": 100}
    assert [x for x, _ in found["curves"][0]["points"]] == [0.1, 0.5]
    assert "accuracy, best share" in printed


def test_what_is_there_is_kept_and_what_is_missing_comes_in(laboratory, monkeypatch):
    ran = []
    carry_out = attack_lab.run_job
    monkeypatch.setattr(attack_lab, "run_job", lambda job, *rest: ran.append(job.name) or carry_out(job, *rest))
    first, _ = laboratory("pruning", "--scheme", "hpnn")
    assert laboratory("pruning", "--scheme", "hpnn")[0] == first
    assert ran == ["pruning on hpnn, digits"]
    both, _ = laboratory("pruning", "--scheme", "deep-lock")
    assert [row["scheme"] for row in both["rows"]] == ["deep-lock", "hpnn"]
    again, _ = laboratory("pruning", "--scheme", "hpnn", "--fresh")
    assert again["rows"] == first["rows"]
    assert len(ran) == 3


def test_processes_and_a_cluster_give_what_this_process_does(laboratory):
    arguments = ("pruning,wrong-key", "--scheme", "hpnn", "--fresh")
    alone = [laboratory(name, *arguments[1:])[0]["rows"] for name in arguments[0].split(",")]
    spread = laboratory(*arguments, "--jobs", 2)[0]["rows"]
    assert spread == sorted(alone[0] + alone[1], key=lambda row: row["attack"])
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers:
        assert laboratory(*arguments, "--scheduler", workers.scheduler_address)[0]["rows"] == spread


@pytest.fixture(scope="module")
def locked(files, tmp_path_factory):
    """digits' float checkpoint as `deeplock lock` makes it."""
    from deeplock.cli.main import main

    path = tmp_path_factory.mktemp("attack") / "locked.safetensors"
    assert main(["lock", str(files.float_checkpoint), "--key-file", str(files.key), "-o", str(path)]) == 0
    return path


@pytest.fixture
def known(files, tmp_path):
    """16 plain bytes from byte 4,000 of conv2.weight on."""
    path = tmp_path / "known"
    path.write_bytes(load(files.float_checkpoint).tensors["conv2.weight"].tobytes()[4_000:4_016])
    return path


def test_known_plaintext_opens_a_file_and_tells_the_key_to_a_key_file_only(files, locked, known, deeplock, tmp_path):
    out, figures = tmp_path / "found.key", tmp_path / "figures.json"
    arguments = ("--known", known, "--tensor", "conv2.weight", "--at", 4_000, "-o", out, "--json", figures)
    outcome = deeplock("attack", "known-plaintext", locked, *arguments)
    assert outcome.code == 0, outcome.err
    assert read_key(out) == read_key(files.key)
    assert out.stat().st_mode & 0o777 == 0o600
    told = outcome.out + outcome.err + figures.read_text()
    assert read_key(files.key).hex()[:8] not in told
    found = json.loads(figures.read_text())
    assert (found["key_bits"], found["bytes"], found["unlocks"]) == (128, 16, True)
    again = deeplock("unlock", locked, "--key-file", out, "-o", tmp_path / "plain")
    assert again.code == 0
    assert (tmp_path / "plain").read_bytes() == files.float_checkpoint.read_bytes()


def test_wrong_known_bytes_find_no_key(locked, known, deeplock, tmp_path):
    known.write_bytes(bytes(16))
    arguments = ("--known", known, "--tensor", "conv2.weight", "--at", 4_000, "-o", tmp_path / "key")
    outcome = deeplock("attack", "known-plaintext", locked, *arguments)
    assert outcome.code == 1
    assert "the key that was found does not unlock it" in outcome.err
    assert not (tmp_path / "key").exists()


@pytest.fixture
def locked_int8(files, deeplock, tmp_path):
    """The int8 weights of MNIST, as `deeplock lock` makes them."""
    plain, path = tmp_path / "int8", tmp_path / "int8.locked"
    save(plain, Checkpoint(weights_of("mnist"), {"network": "mnist"}))
    assert deeplock("lock", plain, "--key-file", files.key, "-o", path).code == 0
    return path


def test_ciphertext_only_opens_a_file(files, locked_int8, deeplock, tmp_path, monkeypatch):
    """With a 256th of the search, the right states in it."""
    stream = expand_key(read_key(files.key), 90_000)

    def first(strand: int, block: int) -> range:
        right = int(stream[16 * block + 12 + int(last_word_bytes(strand, block, 1)[0])])
        return range(right, right + 1)

    def recover(*arguments, **more):
        return recover_key(*arguments, **more, first=first)

    monkeypatch.setattr(on_file, "recover_by_likelihood", recover)
    out = tmp_path / "found.key"
    outcome = deeplock("attack", "ciphertext-only", locked_int8, "--tensor", "dense1.weight", "-o", out)
    assert outcome.code == 0, outcome.err
    assert read_key(out) == read_key(files.key)
    assert read_key(out).hex()[:8] not in outcome.out + outcome.err


@pytest.mark.slow  # a minute or two of both cores
def test_ciphertext_only_opens_a_file_by_the_whole_search(files, locked_int8, deeplock, tmp_path):
    out = tmp_path / "found.key"
    assert deeplock("attack", "ciphertext-only", locked_int8, "--tensor", "dense1.weight", "-o", out).code == 0
    assert read_key(out) == read_key(files.key)


def test_redundancy_tells_trained_from_random(files, locked):
    assert on_file.redundancy(load(files.float_checkpoint)) > 0.5
    assert on_file.redundancy(load(locked)) < 0.05
    rng = np.random.default_rng(0)
    assert on_file.redundancy(Checkpoint({"a": rng.integers(-128, 128, 5_000).astype(np.int8)})) < 0.05
    assert on_file.redundancy(Checkpoint({"a": rng.integers(-8, 8, 5_000).astype(np.int8)})) == pytest.approx(
        4, abs=0.1
    )


def test_faults_are_named(files, locked, known, refused, tmp_path):
    foreign = tmp_path / "foreign.json"
    foreign.write_text("[1]")
    assert "give the name of an attack, or --all" in refused("attack")
    assert "give the name of an attack, or --all" in refused("attack", "pruning", "--all")
    assert "attack must be one of known-plaintext" in refused("attack", "luck")
    assert "no trained network 'nets'" in refused("attack", "pruning", "--network", "nets")
    assert "scheme must be one of deep-lock" in refused("attack", "pruning", "--scheme", "rot13")
    assert "concerns none of the schemes hpnn" in refused("attack", "weak-sbox", "--scheme", "hpnn")
    assert "budget has no luck: must be one of shares" in refused("attack", "pruning", "--budget", "luck=7")
    assert "NAME=NUMBER, not few" in refused("attack", "genetic", "--budget", "images=few")
    assert "not a result of `deeplock attack`" in refused("attack", "pruning", "--json", foreign)
    assert "--known has no effect without FILE" in refused("attack", "known-plaintext", "--known", known)
    assert "is not locked" in refused("attack", "known-plaintext", files.float_checkpoint, "--known", known)
    line = refused("attack", "known-plaintext", files.loadable, "--known", known)
    assert line == f"{files.loadable}: must be a locked checkpoint (`deeplock lock` makes one)"
    assert "takes no FILE" in refused("attack", "genetic", locked)
    assert "needs --known" in refused("attack", "known-plaintext", locked)
    assert "--at must be 0.." in refused("attack", "known-plaintext", locked, "--known", known, "--at", 10**9)
    assert "must be a multiple of 4" in refused("attack", "known-plaintext", locked, "--known", known, "--at", 3)
    assert "is float32: give --like" in refused("attack", "ciphertext-only", locked)
    assert "one attack at a time" in refused("attack", "known-plaintext,pruning", locked)


def test_without_a_compiler_the_attack_is_no_result(deeplock, tmp_path, monkeypatch):
    """In this process, in another and on a cluster."""
    path = tmp_path / "security.json"
    arguments = ("attack", "ciphertext-only", "--network", "digits", "--json", path)
    compile_library.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers:
        spread = ("--seeds", "0,1", "--jobs", 1), ("--scheduler", workers.scheduler_address)
        for how in ((), *spread):
            outcome = deeplock(*arguments, *how)
            assert (outcome.code, outcome.out) == (1, "")
            lines = [line for line in outcome.err.splitlines() if line.startswith("deeplock: ")]
            assert lines == ["deeplock: g++ is missing: install g++ with the system's package manager"]
            assert "Traceback" not in outcome.err
            assert not path.exists()


def test_too_few_bytes_are_a_fault_and_no_result(deeplock, tmp_path):
    path = tmp_path / "security.json"
    outcome = deeplock("attack", "ciphertext-only", *FIGURES, "--budget", "bytes=16,first=1", "--json", path)
    assert outcome.code == 1 and not path.exists()
    assert "deeplock: ciphertext-only needs 16 whole blocks of 16 bytes, not 1\n" in outcome.err


def test_a_result_becomes_tables_and_figures(laboratory, monkeypatch):
    """By a thread, because a process would have to import PyTorch first."""
    monkeypatch.setattr(attack_lab, "_executor", lambda workers, count: ThreadPoolExecutor(1))
    result, _ = laboratory("--all", "--scheme", "hpnn,deep-lock", "--jobs", 1)
    tables, figures = security_tables(result), security_figures(result)
    whole = {"overview", "headlines", "recoveries", "sboxes", "rates", "budgets", "devices"}
    assert set(tables) == whole | {"recovery"} and tables["recovery"] == "", "no search of all states ran"
    assert "| digits | hpnn |" in tables["overview"] and "| digits | *from scratch* |" in tables["overview"]
    assert "AES-256 keys recovered from 32 known bytes | 4 of 4 |" in tables["recoveries"]
    assert "| digits | affine | 0 |" in tables["sboxes"]
    assert "deep-lock, reset" in tables["rates"]
    assert all(content.startswith(b"\x89PNG") for content in figures.values())
    scratch = [row for row in result["rows"] if row["scheme"] == "scratch"]
    tuned = [row for row in result["rows"] if row["attack"] == "fine-tuning"]
    assert {row["yardstick"] for row in tuned} == {scratch[0]["value"]}
