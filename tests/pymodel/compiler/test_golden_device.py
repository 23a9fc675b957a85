"""The golden device against the interpreter, its memories, its errors and its key register."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Error, Status
from deeplock.pymodel.zoo import trained
from tests.random_networks import chains

CONFIG = Config()
KEY = bytes(range(16))


def a_device() -> GoldenDevice:
    device = GoldenDevice(CONFIG)
    device.load_key(KEY)
    return device


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chains(), chains())
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
        (lambda header, program: (header, program[:-1]), Error.LOADABLE_TRUNCATED),
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
    assert GoldenDevice(CONFIG).run(digits.head, [digits.parameters], [ifmap]).error == Error.NO_KEY


def test_the_key_register_is_all_or_nothing():
    device = a_device()
    assert device.write("KEY0", 7), "a new key begins"
    assert not device.status() & Status.KEYED
    assert device.write("KEY_SIZE", 16) and device.status() & Status.KEYED
    assert not device.write("KEY_SIZE", 16)
    device.zeroise()
    assert device.write("KEY_SIZE", 17) and device.status() >> 8 == Error.BAD_KEY_SIZE
    assert not device.write("STATUS", 1) and device.write("COUNT", 1)
