"""The sealed suites in C: the published vectors, the models' bytes, and a refusal of whatever else."""

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.lock.ciphers import acorn, ascon
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.zoo import trained
from deeplock.sim.riscv import build
from deeplock.sim.riscv.cores import CORES
from deeplock.sim.riscv.memory import SUITES, arena_of
from deeplock.sim.riscv.run import run_on_core, run_on_host
from tests.pymodel.lock.ciphers import ascon_vectors, test_acorn
from tests.sim.test_riscv_cores import DENSE, SMALL, ifmaps
from tests.sim.test_riscv_engine import KEY, expected, job

SEALED = [name for name in SUITES if suite(name).seals]
BEAT = 8  # bytes_per_beat of the software's stream
BLOCK = st.binary(min_size=16, max_size=16)


@pytest.fixture(scope="module")
def ciphers(tmp_path_factory):
    """Opens one lane of what is sealed in the C code for this machine: plain bytes at their places, or None if refused."""
    path = tmp_path_factory.mktemp("ciphers") / "ciphers.so"
    sources = [build.HERE / f"{name}.c" for name in SEALED]
    subprocess.run(["gcc", *build._C_FLAGS, "-shared", "-fPIC", "-o", path, *sources], check=True)
    library = ctypes.CDLL(str(path))

    def opened(name: str, key: bytes, nonce: bytes, sealed: bytes, lanes: int = 1, lane: int = 0) -> bytes | None:
        words = (len(sealed) // lanes - 16) // 4
        data, out = ctypes.create_string_buffer(sealed), ctypes.create_string_buffer(len(sealed) + 1)
        counts = (words, lanes) if name == "acorn" else (words,)
        at = [ctypes.byref(buffer, 4 * lane) for buffer in (out, data)]
        wrong = getattr(library, f"{name}_open")(*at, *counts, key, nonce)
        return None if wrong else out.raw[: 4 * words * lanes]

    return opened


def test_published_vectors_are_opened(ciphers):
    whole = [(size, text) for associated, size, text in ascon_vectors.VECTORS if not associated and size % 16 == 0]
    assert [size for size, _ in whole] == [0, 16, 32]
    for size, text in whole:
        sealed = bytes.fromhex(text)
        assert ciphers("ascon", ascon_vectors.KEY, ascon_vectors.NONCE, sealed) == ascon_vectors.plain(size)
    key, nonce, _, plain, text, tag = test_acorn.VECTORS[0]
    assert ciphers("acorn", key, nonce, bytes.fromhex(text + tag)) == plain


@given(BLOCK, BLOCK, st.binary(max_size=200), st.data())
def test_opens_what_the_models_seal_and_refuses_a_flipped_bit(ciphers, key, nonce, plain, data):
    for name, model, unit in (("ascon", ascon, 16), ("acorn", acorn, 4)):
        message = plain[: len(plain) // unit * unit]
        parts = [*model.seal(key, nonce, b"", message), key, nonce]
        assert ciphers(name, key, nonce, parts[0] + parts[1]) == message
        which = data.draw(st.sampled_from([index for index, part in enumerate(parts) if part]))
        changed = bytearray(parts[which])
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        parts[which] = bytes(changed)
        assert ciphers(name, parts[2], parts[3], parts[0] + parts[1]) is None


@given(BLOCK, BLOCK, st.integers(1, 4), st.integers(0, 20), st.data())
def test_acorn_opens_the_words_of_its_lane(ciphers, key, nonce, lanes, words, data):
    lane = data.draw(st.integers(0, lanes - 1))
    plain = bytes(range(3, 3 + 4 * words))
    sealed = np.zeros((words + 4, lanes), "<u4")
    sealed[:, lane] = np.frombuffer(b"".join(acorn.seal(key, nonce, b"", plain)), "<u4")
    opened = ciphers("acorn", key, nonce, sealed.tobytes(), lanes, lane)
    wanted = np.zeros((words, lanes), "<u4")
    wanted[:, lane] = np.frombuffer(plain, "<u4")
    assert opened == wanted.tobytes()


def sections(name: str) -> tuple[bytes, bytes, bytes]:
    """Of the network `digits`: the stream in plain, the nonce, and the sealed stream with its tag, from the arenas' bytes."""
    network = trained.load("digits")
    images = np.zeros((1, *network.input_shape), np.int8)
    plain, sealed = job(network, images, "plain"), job(network, images, "unlock-all", suite=name)
    at = plain.data.index(network.layers[0].weight.reshape(16, 9)[:4].T.tobytes()) - 32
    nonce = sealed.data[sealed.data.index(KEY) + 16 :][:16]
    size = plain.parameter_bytes
    return plain.data[at : at + size], nonce, sealed.data[at : at + size + suite(name).tag_bytes(BEAT)]


@pytest.mark.parametrize("name", SEALED)
def test_the_stream_is_sealed_by_the_suite(name):
    plain, nonce, sealed = sections(name)
    assert suite(name).open_parameters(nonce, sealed, KEY, BEAT) == plain
    assert sections(name)[1] != nonce


@pytest.mark.parametrize("name", SEALED)
def test_sealed_networks_give_golden_bytes(name):
    images = ifmaps(SMALL, 3)
    results = run_on_host(job(SMALL, images, "unlock-all", suite=name)).results
    assert not results.refused and np.array_equal(results.ofmaps, expected(SMALL, images))


@pytest.mark.parametrize("name", SEALED)
def test_a_flipped_byte_is_refused_and_nothing_is_left(name, tmp_path):
    network = trained.load("digits")
    images = np.zeros((2, *network.input_shape), np.int8)
    size = job(network, images, "plain").parameter_bytes
    end = size + suite(name).tag_bytes(BEAT)
    plain = sections(name)[0][1000:1100]
    for flip in (None, 0, 1000, size - 1, size, size + 4, end - 1):
        arena = job(network, images, "unlock-all", suite=name, flip=flip)
        path = tmp_path / "arena"
        path.write_bytes(arena.data)
        subprocess.run([build.build_host(), path], check=True, stdout=subprocess.DEVNULL)
        results = arena.read(path.read_bytes())
        assert results.refused == (flip is not None) == (plain not in path.read_bytes())
        assert results.refused != results.ofmaps.any()


def test_a_sealed_suite_is_not_fused_and_others_are_unknown():
    images = ifmaps(SMALL)
    with pytest.raises(ValueError, match="variant of a suite that seals must be unlock-all, not fused"):
        arena_of(SMALL, images, "fused", KEY, suite="ascon")
    with pytest.raises(ValueError, match="suite must be one of plain, deep-lock, ascon, acorn, not tinyjambu"):
        arena_of(SMALL, images, "unlock-all", KEY, suite="tinyjambu")


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", SEALED)
def test_cores_open_sealed_networks_and_refuse_a_wrong_tag(core, name):
    images = ifmaps(SMALL, 2)
    for memory in ("ideal", "slow"):
        arena = job(SMALL, images, "unlock-all", suite=name)
        right = run_on_core(core, arena, memory)
        assert not right.refused and np.array_equal(right.ofmaps, expected(SMALL, images))
        wrong = run_on_core(core, job(SMALL, images, "unlock-all", suite=name, flip=arena.parameter_bytes + 5), memory)
        assert wrong.refused and not wrong.ofmaps.any()


@pytest.mark.slow
def test_opening_is_no_straw_man():
    for name, most in (("ascon", 62), ("acorn", 25)):
        arena = job(DENSE, ifmaps(DENSE), "unlock-all", suite=name)
        assert run_on_core("vexriscv", arena).unlocking / arena.parameter_bytes <= most
