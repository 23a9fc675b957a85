"""The golden device against the interpreter, its memories, its errors and its key register."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Error, Status, key_writes
from deeplock.pymodel.zoo import trained
from tests.random_networks import chains
from tests.sim import tiny

CONFIG = Config()
KEY = bytes(range(16))


def a_device() -> GoldenDevice:
    device = GoldenDevice(CONFIG)
    device.load_key(KEY)
    return device


@settings(max_examples=60)
@given(chains(with_outputs=True), chains())
def test_random_networks_give_what_the_interpreter_gives_one_after_the_other(one, other):
    device = a_device()
    for network, ifmaps in (one, other, one):
        try:
            loadable = compile_network(network, CONFIG, np.random.default_rng(0)).locked("deep-lock", KEY)
        except DeeplockError:  # a limit of the accelerator
            return
        packets = [loadable.pack_ifmap(ifmap) for ifmap in ifmaps]
        outcome = device.run(loadable.head, [loadable.parameters] * len(ifmaps), packets)
        assert (outcome.error, outcome.hangs, outcome.rest) == (Error.NONE, False, b"")
        found = np.concatenate([loadable.unpack_ofmaps(ofmap) for ofmap in outcome.ofmaps])
        assert np.array_equal(found, interpreter.run(loadable, KEY, ifmaps, CONFIG))
        assert device.status() == Status.LOADED | Status.KEYED | Status.DONE


@pytest.fixture(scope="module")
def digits():
    return compile_network(trained.load("digits"), CONFIG, np.random.default_rng(0)).locked("deep-lock", KEY)


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda header, program: (replace(header, magic=1), program), Error.BAD_MAGIC),
        (lambda header, program: (replace(header, rows=4), program), Error.BAD_GEOMETRY),
        (lambda header, program: (replace(header, suite=0), program), Error.BAD_GEOMETRY),
        (lambda header, program: (replace(header, accumulators=2000), program), Error.TOO_LARGE),
        (lambda header, program: (replace(header, run_bytes=0), program), Error.BAD_DESCRIPTOR),
        (lambda header, program: (header, [replace(program[0], kblocks=1), *program[1:]]), Error.BAD_DESCRIPTOR),
        (lambda header, program: (header, [*program[:-1], replace(program[-1], last_columns=0)]), Error.BAD_DESCRIPTOR),
        (lambda header, program: (header, program[:-1]), Error.BAD_DESCRIPTOR),  # parameters are no descriptor
    ],
)
def test_heads_that_are_refused_zeroise_the_key(digits, change, error):
    header, program = change(digits.header, list(digits.program))
    device = a_device()
    outcome = device.run(
        header.pack() + b"".join(layer.pack() for layer in program),
        [digits.parameters],
        [bytes(digits.header.ifmap_beats * 8)],
    )
    assert (outcome.error, outcome.ofmaps, outcome.rest) == (error, (), b"")
    assert device.status() >> 8 == error and not device.status() & (Status.KEYED | Status.DONE)


def test_streams_of_the_wrong_length(digits):
    ifmap = bytes(digits.header.ifmap_beats * 8)
    for section, packet, error in (
        (digits.parameters[:-8], ifmap, Error.LOADABLE_TRUNCATED),
        (digits.parameters + bytes(8), ifmap, Error.LOADABLE_TOO_LONG),
        (digits.parameters, ifmap[:-8], Error.IFMAP_LENGTH),
    ):
        assert a_device().run(digits.head, [section], [packet]).error == error
    for cut in (8, 64, 72, len(digits.head)):
        assert a_device().run(digits.head[:cut], [b""], [ifmap]).error == Error.LOADABLE_TRUNCATED
    assert GoldenDevice(CONFIG).run(digits.head, [digits.parameters], [ifmap]).error == Error.NO_KEY


def keyed(device: GoldenDevice) -> bool:
    return bool(device.status() & Status.KEYED)


@pytest.mark.parametrize("sizes", [(16,), (16, 24, 32)])
@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_comes_size_first_and_word_by_word(sizes, size):
    device = GoldenDevice(replace(CONFIG, key_sizes=sizes))
    device.load_key(KEY)
    assert device.write("KEY_SIZE", size) and not keyed(device)
    assert device.status() >> 8 == (Error.NONE if size in sizes else Error.BAD_KEY_SIZE)
    for index in range(size // 4):
        assert not keyed(device)
        assert device.write(f"KEY{index}", index) == (size in sizes)
    assert keyed(device) == (size in sizes)
    assert device.write("KEY_SIZE", 17) and device.status() == Error.BAD_KEY_SIZE << 8
    assert not device.write("STATUS", 1) and device.write("COUNT", 1)


@pytest.mark.parametrize("there", range(6))
@pytest.mark.parametrize("wrong", range(8))
def test_a_word_out_of_order_clears_all(there, wrong):
    """After `there` writes of a key of 16 bytes: word `wrong`, and then the rest."""
    if wrong == there - 1 < 4:
        return  # the word that follows
    device, writes = GoldenDevice(CONFIG), key_writes(KEY)
    for name, value in writes[:there]:
        assert device.write(name, value)
    assert not device.write(f"KEY{wrong}", 0) and not keyed(device)
    for name, value in writes[max(there, 1) :]:
        assert not device.write(name, value) and not keyed(device)


@pytest.mark.parametrize("there", range(1, 6))
def test_what_erases_leaves_no_half_of_a_key(there, digits):
    """ZEROISE, an error, and the end of a run if so configured. Whoever goes on in order completes the key, if nothing does."""

    def zeroise(device: GoldenDevice) -> None:
        device.zeroise()

    def fail(device: GoldenDevice) -> None:
        assert device.run(b"", [b""], []).error

    def nothing(device: GoldenDevice) -> None:
        pass

    for erase in (zeroise, fail, nothing):
        device, writes = GoldenDevice(CONFIG), key_writes(KEY)
        for name, value in writes[:there]:
            device.write(name, value)
        erase(device)
        assert [device.write(name, 0) for name, _ in writes[there:]] == [erase is nothing] * (5 - there)
        assert keyed(device) == (erase is nothing)
    device = a_device()
    device.write("CONFIG", 1)
    assert device.run(digits.head, [digits.parameters], [bytes(digits.header.ifmap_beats * 8)]).error == Error.NONE
    assert not keyed(device)


def zeroise(device: GoldenDevice, loadable: Loadable) -> None:
    device.zeroise()


def begin_a_key(device: GoldenDevice, loadable: Loadable) -> None:
    assert device.write("KEY_SIZE", 16)


def write_a_word_too_many(device: GoldenDevice, loadable: Loadable) -> None:
    assert not device.write("KEY0", 0)


def fail(device: GoldenDevice, loadable: Loadable) -> None:
    assert device.run(loadable.head, [loadable.parameters], [b""]).error == Error.IFMAP_LENGTH


def run_to_the_end(device: GoldenDevice, loadable: Loadable) -> None:
    device.write("CONFIG", 1)
    ifmap = bytes(loadable.header.ifmap_beats * device.config.rows)
    assert device.run(loadable.head, [loadable.parameters], [ifmap]).error == Error.NONE


@pytest.mark.parametrize("loses", [zeroise, begin_a_key, write_a_word_too_many, fail, run_to_the_end])
@pytest.mark.parametrize("suite", ["deep-lock", "plain", "acorn"])
def test_who_loses_the_key_forgets_the_program(suite, loses):
    """However it goes. Without keys there is none to lose."""
    if suite == "plain" and loses in (begin_a_key, write_a_word_too_many):
        return
    config = tiny.ACCUMULATORS_TOO_FEW.with_suite(suite)
    loadable = tiny.tiny_loadable(config)
    device = GoldenDevice(config)
    if suite != "plain":
        device.load_key(tiny.KEY)
    packets = [bytes(loadable.header.ifmap_beats * config.rows)]
    assert device.run(loadable.head, [loadable.parameters], packets).error == Error.NONE
    assert device.status() & Status.LOADED
    loses(device, loadable)
    assert not keyed(device)
    assert bool(device.status() & Status.LOADED) == (suite == "plain")


def spoiled(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("suite", ["acorn", "ascon", "tinyjambu"])
def test_a_sealed_loadable_runs_unchanged_with_its_key_only(suite, size):
    """Whatever is changed, no ofmap leaves of that inference; those before it have left."""
    config = Config(rows=4, cols=16, bytes_per_beat=size, suite=suite)
    loadable, other, ifmaps = tiny.tiny_loadable(config), tiny.tiny_loadable(config), tiny.ifmaps(2)
    packets = [loadable.pack_ifmap(ifmap) for ifmap in ifmaps]
    head, section = loadable.head, loadable.parameters
    expected = [tiny.expected(loadable, config, ifmaps[at : at + 1]) for at in range(2)]

    def run(head: bytes, sections: list[bytes], key: bytes = tiny.KEY):
        device = GoldenDevice(config)
        if key:
            device.load_key(key)
        outcome = device.run(head, sections, packets)
        for found, ofmap in zip(outcome.ofmaps, expected, strict=False):
            assert np.array_equal(loadable.unpack_ofmaps(found), ofmap)
        loaded = bool(device.status() & Status.LOADED)
        assert loaded == keyed(device) == (outcome.error == Error.NONE) and not outcome.rest
        return outcome.error, len(outcome.ofmaps)

    assert run(head, [section] * 2) == (Error.NONE, 2)
    assert run(head, [section] * 2, b"") == (Error.NO_KEY, 0)
    assert run(head, [section] * 2, tiny.KEY[::-1]) == (Error.BAD_TAG, 0)
    nonce, tag = len(loadable.nonce), len(loadable.head_tag)
    for at in (0, nonce - 1, nonce + 16 * 4 - 4, len(head) - tag, len(head) - 1):
        assert run(spoiled(head, at), [section] * 2) == (Error.BAD_TAG, 0), at
    for at in (0, len(section) - tag, len(section) - 1):
        assert run(head, [section, spoiled(section, at)]) == (Error.BAD_TAG, 1), at
    assert run(other.head, [section] * 2) == (Error.BAD_TAG, 0)
    moved = section[size : 2 * size] + section[:size] + section[2 * size :]
    assert run(head, [moved, section]) == (Error.BAD_TAG, 0)
    assert run(head, [section, section[:-size]]) == (Error.LOADABLE_TRUNCATED, 1)
    assert run(head, [section, section + bytes(size)]) == (Error.LOADABLE_TOO_LONG, 1)
    for cut in (size, nonce, nonce + 64, len(head) - size, len(head)):
        assert run(head[:cut], [b""]) == (Error.LOADABLE_TRUNCATED, 0), cut
