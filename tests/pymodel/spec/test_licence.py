"""Licences in the model: format, refusals, and what a golden device makes of them."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from safetensors.numpy import save

from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.ciphers import acorn, ascon, tinyjambu
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.licence import (
    ALL_CLASSES,
    Licence,
    Terms,
    allowed,
    licence_bytes,
    read_licence,
    write_licence,
)
from deeplock.pymodel.spec.loadable import Loadable, read_loadable, write_loadable
from deeplock.pymodel.spec.registers import Error, Status
from tests.sim import mini

SEALED = ("acorn", "ascon", "tinyjambu")
DEVICE_KEY, OTHER_KEY, MODEL_KEY = bytes(range(16)), bytes(range(1, 17)), bytes(range(16, 32))
MODEL, NEXT = 0x0123_4567_89AB_CDEF, 3
every_suite = pytest.mark.parametrize("name", SEALED)


def config_of(name: str):
    return replace(mini.config_of(name), licences=True, permissions=True)


@cache
def sealed(name: str) -> Loadable:
    plain = mini.mini_loadable(config_of(name))
    return replace(plain, header=plain.header.of_model(MODEL, NEXT)).locked(name, MODEL_KEY)


def issued(name: str, *allow: str, key: bytes = DEVICE_KEY, model: int = MODEL) -> Licence:
    header = sealed(name).header.of_model(model, 0)
    return Licence.issued(allowed(allow, header, 5), MODEL_KEY, key)


def device_of(name: str, key: bytes = DEVICE_KEY) -> GoldenDevice:
    device = GoldenDevice(config_of(name))
    device.load_key(key)
    return device


def run(device: GoldenDevice, licence: bytes, count: int = 1, loadable: Loadable | None = None):
    loadable = loadable or sealed(device.config.suite)
    packets = [loadable.pack_ifmap(ifmap) for ifmap in mini.ifmaps(loadable, count)]
    return device.run(licence + loadable.head, [loadable.parameters] * count, packets)


@pytest.mark.parametrize("beat", [4, 8, 16])
@every_suite
def test_the_format_is_that_of_the_documentation(name, beat):
    """Each lane by hand, with the cipher alone: docs/loadable-format.md, "Licences"."""
    header = replace(sealed(name).header, bytes_per_beat=beat)
    licence = Licence.issued(allowed((), header, 5), MODEL_KEY, DEVICE_KEY)
    cipher = {"ascon": ascon, "acorn": acorn, "tinyjambu": tinyjambu}[name]
    lanes = 1 if name == "ascon" else beat // 4
    word, stream = beat // lanes, licence.stream
    assert len(stream) == licence_bytes(name, beat)
    nonce = -(-cipher.NONCE_BYTES // beat) * beat
    tag = cipher.TAG_BYTES * lanes
    assert stream[:1] == b"\0" and not any(stream[cipher.NONCE_BYTES : nonce])
    terms, head_tag = stream[nonce : nonce + 64], stream[nonce + 64 : nonce + 64 + tag]
    assert terms == licence.terms.pack()
    wrapped, key_tag = stream[nonce + 64 + tag :][:16], stream[nonce + 64 + tag + 16 :]

    def lane(data: bytes, number: int) -> bytes:
        return b"".join(data[at : at + word] for at in range(word * number, len(data), beat))

    for number in range(lanes):
        nonces = [bytes([message << 4 | number]) + stream[1 : cipher.NONCE_BYTES] for message in (2, 3)]
        assert cipher.seal(DEVICE_KEY, nonces[0], lane(terms, number), b"") == (b"", lane(head_tag, number))
        expected = cipher.seal(DEVICE_KEY, nonces[1], b"", lane(MODEL_KEY, number))
        assert (lane(wrapped, number), lane(key_tag, number)) == expected
    assert licence.model_key(DEVICE_KEY) == MODEL_KEY and licence.model_key(OTHER_KEY) is None
    assert issued(name).stream != issued(name).stream, "each under a nonce of its own"


@every_suite
def test_one_loadable_two_devices_two_licences(name):
    devices = {key: device_of(name, key) for key in (DEVICE_KEY, OTHER_KEY)}
    licences = {key: issued(name, key=key).stream for key in devices}
    plain = GoldenDevice(mini.config_of(name))
    plain.load_key(MODEL_KEY)
    expected = run(plain, b"", 2)
    assert expected.error == Error.NONE
    for key, device in devices.items():
        for other, licence in licences.items():
            found = run(device, licence, 2)
            assert found == expected if key == other else found.error == Error.BAD_LICENCE and not found.ofmaps
            assert device.keyed and bool(device.status() & Status.LOADED) == (key == other)
    assert run(devices[DEVICE_KEY], b"").error == Error.BAD_LICENCE, "without one, the loadable is taken for it"


@every_suite
def test_every_bit_of_a_licence_counts_and_the_device_keeps_its_key(name):
    device, licence = device_of(name), issued(name).stream
    for bit in range(8 * len(licence)):
        found = run(device, flip(licence, bit))
        assert (found.error, found.ofmaps) == (Error.BAD_LICENCE, ()), bit
        assert device.status() & 0xFF == Status.KEYED
    assert run(device, licence).error == Error.NONE


@every_suite
def test_parts_of_two_licences_do_not_mix(name):
    device, one, other = device_of(name), issued(name, "inferences=1"), issued(name)
    for part in ("nonce", "head_tag", "parameters"):
        mixed = Licence(one.record, replace(one.wrapped, **{part: getattr(other.wrapped, part)}))
        assert run(device, mixed.stream).error == Error.BAD_LICENCE
    assert run(device, Licence(other.record, one.wrapped).stream).error == Error.BAD_LICENCE
    # nor are the messages of a loadable those of a licence, under the same key
    chosen, terms = suite(name), one.record
    loadable = chosen.lock_loadable(terms, MODEL_KEY, DEVICE_KEY, one.terms.bytes_per_beat)
    assert run(device, Licence(one.record, loadable).stream).error == Error.BAD_LICENCE


def test_terms_are_enforced():
    name = "acorn"
    device = device_of(name)
    fails = partial(run, device)
    assert fails(issued(name, model=MODEL ^ 1 << 63).stream).error == Error.OTHER_MODEL
    assert fails(issued(name, f"versions={NEXT + 1}-").stream).error == Error.OTHER_VERSION
    assert fails(issued(name, f"versions=0-{NEXT - 1}").stream).error == Error.OTHER_VERSION
    assert device.keyed and not device.status() & Status.LOADED
    assert run(device, issued(name, f"versions={NEXT}").stream).error == Error.NONE


def test_inferences_are_counted_from_power_up():
    name = "acorn"
    device, licence = device_of(name), issued(name, "inferences=5").stream
    assert run(device, licence, 3).error == Error.NONE
    assert run(device, licence, 3).error == Error.NONE_LEFT
    device.zeroise()
    device.load_key(DEVICE_KEY)
    assert run(device, licence, 2).error == Error.NONE
    assert run(device, licence, 1).error == Error.NONE_LEFT
    assert run(device, issued(name).stream, 4).error == Error.NONE, "another licence has no limit"
    assert run(device, issued(name, "inferences=10").stream, 2).error == Error.NONE_LEFT, "but what it ran counts"
    assert run(device, issued(name, "inferences=10").stream, 1).error == Error.NONE


def test_outputs_that_are_not_licensed_read_the_least_value():
    name = "acorn"
    device = device_of(name)
    whole = np.frombuffer(run(device, issued(name).stream).ofmaps[0], np.int8)
    part = np.frombuffer(run(device, issued(name, "classes=0,2-3").stream).ofmaps[0], np.int8)
    assert len(whole) == 6 and np.array_equal(part, np.where([1, 0, 1, 1, 0, 0], whole, -128))


def test_without_permissions_only_the_key_counts():
    name = "tinyjambu"
    config = replace(config_of(name), permissions=False)
    device = GoldenDevice(config)
    device.load_key(DEVICE_KEY)
    licence = issued(name, "versions=9-", "inferences=1", "classes=0", model=1).stream
    whole = run(device_of(name), issued(name).stream, 3)
    assert run(device, licence, 3) == whole and whole.error == Error.NONE


def test_masks_reach_to_the_last_output():
    values = np.arange(-100, -30, dtype=np.int8)
    terms = allowed(("classes=1,62",), sealed("acorn").header, 0)
    assert terms.classes == 1 << 1 | 1 << 62
    shown = terms.shown(values, np.arange(70))
    assert [int(place) for place in np.flatnonzero(shown != -128)] == [1, 62]
    terms = allowed(("classes=63",), sealed("acorn").header, 0)
    assert [int(place) for place in np.flatnonzero(terms.shown(values, np.arange(70)) != -128)] == [*range(63, 70)]


def test_what_is_allowed_is_said_in_words():
    header = sealed("acorn").header
    terms = allowed(("versions=2-5", "inferences=9", "classes=0-3,7"), header, 1 << 63 | 5)
    assert (terms.device, terms.model) == (1 << 63 | 5, MODEL)
    assert (terms.least_version, terms.most_version, terms.inferences, terms.classes) == (2, 5, 9, 0b1000_1111)
    assert terms.restricts and not allowed((), header, 1).restricts
    terms = allowed(("versions=2-", "classes=0-63"), header, 1)
    assert (terms.least_version, terms.most_version, terms.classes) == (2, 0xFFFF_FFFF, ALL_CLASSES)


@pytest.mark.parametrize(
    "text",
    [
        "versions",
        "versions=x",
        "versions=5-2",
        "inferences=0",
        "inferences=-1",
        "classes=64",
        "classes=3-1",
        "classes=",
        "speed=3",
    ],
)
def test_what_cannot_be_allowed_is_refused(text):
    with pytest.raises(DeeplockError, match=r"a licence allows versions=2-5, inferences=9 or classes=0-3,7, not "):
        allowed((text,), sealed("acorn").header, 0)


def test_files(tmp_path):
    path = tmp_path / "licence"
    licence = issued("ascon", "inferences=7")
    write_licence(path, licence)
    assert read_licence(path).stream == licence.stream and read_licence(path).terms == licence.terms
    whole = path.read_bytes()
    for content, text in (
        (whole[:-1], "truncated or not a licence"),
        (save({"stream": np.zeros(3, np.uint8)}), "not a licence"),
        (whole.replace(b'"ascon 4"', b'"acorn 4"'), "not a licence of a suite|terms were changed"),
        (whole.replace(b'"ascon 4"', b'"ascot 4"'), "not a licence of a suite that this version knows"),
        (whole.replace(b"NNLL", b"NNLK"), "terms were changed"),
    ):
        path.write_bytes(content)
        with pytest.raises(DeeplockError, match=text):
            read_licence(path)
    with pytest.raises(DeeplockError, match="no such file"):
        read_licence(tmp_path / "none")


def test_a_loadable_goes_under_its_own_licence_only(tmp_path):
    loadable = sealed("acorn")
    under = loadable.under(issued("acorn", "versions=3"))
    assert under.head == under.licence + loadable.head
    write_loadable(tmp_path / "loadable", under)
    assert read_loadable(tmp_path / "loadable").licence == b"", "a loadable's file is for all devices"
    assert read_loadable(tmp_path / "loadable").stream == loadable.stream
    for licence, text in (
        (issued("ascon"), "licence is for suite ascon"),
        (issued("acorn", model=1), f"licence is for model 1, the loadable is model {MODEL}"),
        (issued("acorn", "versions=4-6"), "licence covers versions 4 to 6, the loadable has version 3"),
    ):
        with pytest.raises(DeeplockError, match=text):
            loadable.under(licence)


def test_only_sealed_loadables_have_licences():
    terms = Terms(**dict.fromkeys(Terms.layout.fields, 0) | {"suite": suite("deep-lock").id, "bytes_per_beat": 4})
    with pytest.raises(DeeplockError, match="suite deep-lock does not seal: only sealed loadables have licences"):
        Licence.issued(terms, MODEL_KEY, DEVICE_KEY)
