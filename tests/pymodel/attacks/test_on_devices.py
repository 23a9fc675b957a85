"""Attacks by the holder of a device on the golden device: what is weak falls, and what the golden model refuses does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from deeplock.pymodel.attacks.device import chosen_program, desync, malleability, replay, tampering
from deeplock.pymodel.attacks.device.catalogue import ATTACKS
from deeplock.pymodel.attacks.device.endless import ENDLESS
from deeplock.pymodel.attacks.device.programs import parts_of, places, streamed
from deeplock.pymodel.attacks.device.remanence import Unerased
from deeplock.pymodel.attacks.device.target import BEATS, KEY, WEIGHTS, DeviceTarget, make_target
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.compiler.parameters import decode_group
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock import sealing
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.zoo import trained
from tests.random_networks import chains, network_of

CONFIG = Config()
SEALED = ["ascon", "acorn", "tinyjambu"]


@pytest.fixture(scope="module")
def digits() -> DeviceTarget:
    return make_target(trained.load("digits"), CONFIG, 0)


def attacked(name: str, target: DeviceTarget, seed: int = 0, said: list[str] | None = None) -> dict[str, float]:
    device = GoldenDevice(target.config)
    target.provision(device)

    def listen(text: str, done: int = 0, total: int = 0) -> None:
        if said is not None:
            said.append(text)

    results = ATTACKS[name].run(device, target, ATTACKS[name].BUDGET, seed, listen)
    return {result.metric: result.value for result in results}


@pytest.mark.parametrize(
    "name, figures",
    [
        ("chosen-program", {WEIGHTS: 1, KEY: 1}),
        ("malleability", {WEIGHTS: 1, KEY: 1}),
        ("replay", {WEIGHTS: 1}),
        ("desync", {WEIGHTS: 0, KEY: 0}),
        ("endless", {BEATS: 0, ENDLESS: 0}),
    ],
)
def test_what_an_attack_recovers_on_the_golden_device(digits, name, figures):
    said: list[str] = []
    found = attacked(name, digits, said=said)
    assert {metric: found[metric] for metric in figures} == figures
    assert not any(part in "".join(said) for part in (digits.key.hex(), digits.key[:4].hex()))


@pytest.mark.parametrize("name", ["remanence", "failed-check"])
@pytest.mark.parametrize("erases", [False, True])
def test_what_is_left_in_memory_is_read_whole_and_nothing_is_if_the_device_erases(digits, name, erases):
    device = (GoldenDevice if erases else Unerased)(CONFIG)
    digits.provision(device)
    (result,) = ATTACKS[name].run(device, digits, ATTACKS[name].BUDGET, 0, lambda *step: None)
    assert result.metric == BEATS
    assert result.yardstick is not None and result.yardstick > 50
    assert result.value == (0 if erases else result.yardstick)


@pytest.fixture(scope="module", params=SEALED)
def sealed(request) -> DeviceTarget:
    config = replace(CONFIG, activation_words=2048).with_suite(request.param)  # quick to read
    return make_target(trained.load("digits"), config, 0)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "tampering"])
def test_no_attack_recovers_anything_from_a_sealed_suite(sealed, name):
    device = GoldenDevice(sealed.config)
    sealed.provision(device)
    results = ATTACKS[name].run(device, sealed, ATTACKS[name].BUDGET, 0, lambda *step: None)
    assert results and {result.value for result in results} == {0}
    sealed.provision(device)
    outcome = device.run(sealed.locked.head, [sealed.locked.parameters], sealed.ifmaps(1, 0))
    assert not outcome.error and len(outcome.ofmaps) == 1


@pytest.mark.parametrize("name", ["remanence", "failed-check"])
def test_the_same_reads_what_a_sealed_suite_leaves_in_memory_if_nothing_erases(sealed, name):
    """So that 0 above is not for want of a way to read."""
    device = Unerased(sealed.config)
    sealed.provision(device)
    (result,) = ATTACKS[name].run(device, sealed, ATTACKS[name].BUDGET, 0, lambda *step: None)
    assert result.yardstick is not None and result.value == result.yardstick > 20


def test_no_changed_bit_of_a_sealed_loadable_is_taken(sealed):
    device = GoldenDevice(sealed.config)
    results = tampering.run(device, sealed, tampering.Budget(parameter_bits=24, head_step=29), 0)
    assert {result.metric: result.value for result in results} == {
        BEATS: 0, tampering.LEFT: 0, tampering.DISAGREEMENTS: 0
    }  # fmt: skip
    assert all(result.inferences is not None and result.inferences > 90 for result in results)


class Late(Unerased):
    """It notices a wrong tag when all has been computed, and erases nothing."""

    def _infer(self, header, program, nonce, section, arriving, *rest):
        ifmaps = list(arriving)
        results, error = super()._infer(header, program, nonce, section, iter(ifmaps), *rest)
        if error == Error.BAD_TAG:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sealing.hmac, "compare_digest", lambda *both: True)
                super()._infer(header, program, nonce, section, iter(ifmaps), *rest)
        return results, error


def test_tampering_sees_a_device_that_takes_any_tag_or_erases_nothing(sealed, monkeypatch):
    budget = tampering.Budget(parameter_bits=8, head_step=67)
    results = tampering.run(Late(sealed.config), sealed, budget, 0)
    assert {result.metric: result.value > 0 for result in results} == {
        BEATS: False,
        tampering.LEFT: True,
        tampering.DISAGREEMENTS: False,
    }
    monkeypatch.setattr(sealing.hmac, "compare_digest", lambda *both: True)
    results = tampering.run(GoldenDevice(sealed.config), sealed, budget, 0)
    assert {result.metric: result.value for result in results}[BEATS] > 8


class SizeLast(GoldenDevice):
    """With the key register as it once was: words in any order, and then the size takes what is there."""

    def write(self, name: str, value: int) -> bool:
        if name == "KEY_SIZE":
            if self.keyed:
                return False
            self._size, self._key = value, self._key.ljust(value, b"\0")
        elif name.startswith("KEY"):
            words, at = b"" if self.keyed else self._key, 4 * int(name[3:])
            self._size, self._key = 0, words[:at].ljust(at, b"\0") + value.to_bytes(4, "little") + words[at + 4 :]
        else:
            return super().write(name, value)
        return True


@pytest.mark.parametrize("size_last", [False, True])
def test_provisioning_out_of_order_gives_no_key(digits, size_last):
    device = (SizeLast if size_last else GoldenDevice)(CONFIG)
    digits.provision(device)
    results = ATTACKS["provisioning"].run(device, digits, ATTACKS["provisioning"].BUDGET, 0, lambda *step: None)
    assert [result.metric for result in results] == [KEY, BEATS]
    assert (results[1].value > 0) == size_last


def test_malleability_finds_other_keys_in_few_inferences(digits):
    for seed in (1, 2, 3):
        target = make_target(trained.load("digits"), CONFIG, seed)
        device = GoldenDevice(CONFIG)
        target.provision(device)
        key, _ = malleability.run(device, target, malleability.BUDGET, seed)
        assert (key.metric, key.value) == (KEY, 1)
        assert key.inferences is not None and key.inferences <= 133


@settings(max_examples=40)
@given(chains())
def test_places_and_parts_are_those_of_random_networks(case):
    """The attack's own reading of the stream against the compiler's, folded groups included."""
    try:
        loadable = compile_network(case[0], CONFIG, np.random.default_rng(0))
    except DeeplockError:  # a limit of the accelerator
        return
    stream = np.frombuffer(loadable.parameters, np.uint8)
    for layer in loadable.program:
        if layer.diagonal:
            continue
        used = (np.arange(CONFIG.rows) < np.array(layer.block_rows(CONFIG.rows))[:, None]).ravel()
        sizes = [layer.group_bytes(group, CONFIG.rows, CONFIG.cols) for group in range(layer.groups)]
        for group, place in enumerate(places(layer, CONFIG)):
            weights, _ = decode_group(layer, group, stream[sum(sizes[:group]) :], CONFIG)
            expected = weights.reshape(-1, CONFIG.cols)[used, : place.shape[-1]]
            assert np.array_equal(stream[place].view(np.int8).reshape(expected.shape), expected)
        seen = [(row, byte) for part in parts_of(layer, CONFIG) for row in part.rows for byte in part.bytes]
        assert sorted(seen) == list(np.ndindex(*places(layer, CONFIG)[0].shape[:2]))
        assert all(len(part.rows) * len(part.bytes) <= CONFIG.accumulators for part in parts_of(layer, CONFIG))
        stream = stream[sum(sizes) :]


def test_attacks_recover_nothing_from_a_device_without_the_key(digits):
    """The figures are of the device's answers, not of what the laboratory knows."""
    device = GoldenDevice(CONFIG)
    device.load_key(bytes(16))
    for module in (chosen_program, malleability):
        budget = chosen_program.Budget(((127, 0),)) if module is chosen_program else malleability.Budget(2, 4)
        found = {result.metric: result.value for result in module.run(device, digits, budget, 0)}
        assert found[KEY] == 0 and found[WEIGHTS] < 0.05
    keyless = GoldenDevice(CONFIG)
    assert desync.run(keyless, digits, desync.BUDGET, 0)[0].value == 0
    assert replay.run(keyless, replace(digits, key=bytes(16)), replay.BUDGET, 0)[1].value < 0.05


def test_depthwise_layers_are_refused():
    """Their weights lie otherwise in the stream: an attack that overlooked them would seem to fail."""
    shape = (6, 6, 4)
    scales = np.zeros(4, np.int32), np.full(4, 1 << 15), np.full(4, 15)
    layer = Depthwise("a", "input", np.ones((4, 3, 3, 1), np.int8), *scales, (1, 1), (0,) * 4, 0, 0, -128, 127)
    with pytest.raises(DeeplockError, match="attacks on devices take networks without depthwise convolutions"):
        streamed(compile_network(network_of(shape, layer), CONFIG, np.random.default_rng(0)))
