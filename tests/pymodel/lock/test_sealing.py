"""The sealed suites in the model: format, refusals, and the published vectors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deeplock.bench.sealed_vectors import CONFIG, VECTORS, vectors
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.ciphers import acorn, ascon, tinyjambu
from deeplock.pymodel.lock.suites import byte_suite, suite
from deeplock.pymodel.spec.loadable import Loadable, read_loadable, write_loadable
from deeplock.pymodel.spec.registers import Error
from tests.sim import tiny

SEALED = ("ascon", "acorn", "tinyjambu")
KEY = bytes(range(1, 17))
SEED = 232
every_suite = pytest.mark.parametrize("name", SEALED)


def sealed(name: str, beat: int = 4) -> Loadable:
    config = replace(CONFIG.with_suite(name), cols=16, bytes_per_beat=beat, lanes=4)
    return compile_network(tiny.tiny_network(), config, np.random.default_rng(0)).locked(name, KEY)


@pytest.mark.parametrize("beat", [4, 8, 16])
@every_suite
def test_the_format_is_that_of_the_documentation(name, beat):
    """Each lane by hand, with the cipher alone: docs/loadable-format.md, "Sealed loadables"."""
    loadable = sealed(name, beat)
    cipher = {"ascon": ascon, "acorn": acorn, "tinyjambu": tinyjambu}[name]
    lanes = 1 if name == "ascon" else beat // 4
    word = beat // lanes
    size = cipher.TAG_BYTES * lanes
    assert len(loadable.nonce) == -(-cipher.NONCE_BYTES // beat) * beat
    assert len(loadable.head_tag) == size
    assert loadable.stream == loadable.nonce + loadable.records + loadable.head_tag + loadable.parameters

    def lane(data: bytes, number: int) -> bytes:
        return b"".join(data[at : at + word] for at in range(word * number, len(data), beat))

    plain = loadable.unlocked(KEY).parameters
    for number in range(lanes):
        head = bytes([number]) + loadable.nonce[1 : cipher.NONCE_BYTES]
        assert cipher.seal(KEY, head, lane(loadable.records, number), b"") == (b"", lane(loadable.head_tag, number))
        parameters = bytes([0x10 | number]) + loadable.nonce[1 : cipher.NONCE_BYTES]
        ciphertext, tag = cipher.seal(KEY, parameters, b"", lane(plain, number))
        assert lane(loadable.parameters[:-size], number) == ciphertext
        assert lane(loadable.parameters[-size:], number) == tag


@every_suite
def test_every_bit_of_what_is_not_parameters_counts_and_so_do_some_of_theirs(name):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    chosen = suite(name)
    for beat in (4, 16):
        loadable = sealed(name, beat)
        parts = loadable.nonce, loadable.records, loadable.head_tag
        assert chosen.trusts(*parts, KEY, beat)
        for index, part in enumerate(parts):
            for bit in range(8 * len(part)) if index != 1 else rng.integers(0, 8 * len(part), 40):
                changed = [flip(part, int(bit)) if i == index else each for i, each in enumerate(parts)]
                assert not chosen.trusts(*changed, KEY, beat)
        locked = loadable.parameters
        tag = 8 * chosen.tag_bytes(beat)
        for bit in [*rng.integers(0, 8 * len(locked) - tag, 30), *range(8 * len(locked) - tag, 8 * len(locked))]:
            assert chosen.open_parameters(loadable.nonce, flip(locked, int(bit)), KEY, beat) is None
        for shorter in (locked[beat:], locked[:-beat], bytes(beat) + locked):
            assert chosen.open_parameters(loadable.nonce, shorter, KEY, beat) is None


@every_suite
def test_a_nonce_is_never_the_same_and_a_wrong_key_is_told(name):
    plain = compile_network(tiny.tiny_network(), CONFIG.with_suite(name), np.random.default_rng(0))
    assert len({plain.locked(name, KEY).nonce for _ in range(50)}) == 50
    with pytest.raises(
        DeeplockError, match=f"^a tag is wrong: another key sealed it, or the {name} loadable was changed$"
    ):
        plain.locked(name, KEY).unlocked(bytes(16))
    with pytest.raises(DeeplockError, match="^key must be 16 bytes, not 32$"):
        plain.locked(name, bytes(32))


@every_suite
def test_a_file_keeps_all_of_a_sealed_loadable(name, tmp_path):
    loadable = sealed(name, 16)
    write_loadable(tmp_path / "file", loadable)
    there = read_loadable(tmp_path / "file")
    assert there.stream == loadable.stream and there.suite == name
    assert there.nonce == loadable.nonce and there.head_tag == loadable.head_tag
    assert there.unlocked(KEY).stream == loadable.unlocked(KEY).stream


def test_the_published_vectors_are_of_this_implementation_and_run():
    published = json.loads((Path(__file__).parents[3] / VECTORS).read_text())["vectors"]
    assert published == vectors()
    for vector in published:
        device = GoldenDevice(CONFIG.with_suite(vector["suite"]))
        device.load_key(bytes.fromhex(vector["key"]))
        head, locked, ifmap = (
            bytes.fromhex(vector["nonce"] + vector["head"] + vector["head_tag"]),
            bytes.fromhex(vector["parameters_and_tag"]),
            bytes.fromhex(vector["ifmap"]),
        )
        for _ in range(2):
            assert device.run(head, [locked], [ifmap]).ofmaps == (bytes.fromhex(vector["ofmap"]),)
        assert device.run(head, [flip(locked, 5)], [ifmap]).error == Error.BAD_TAG
        assert not device.keyed


def test_bytes_are_locked_by_suites_of_bytes_only():
    assert byte_suite("deep-lock") is suite("deep-lock")
    with pytest.raises(
        DeeplockError, match="^suite acorn seals loadables as a whole, and nothing else: compile the net"
    ):
        byte_suite("acorn")
