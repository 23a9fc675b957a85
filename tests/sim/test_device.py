"""The RTL as a device: what the golden device does, memories included, and the attacks on it."""

from dataclasses import replace
from random import Random

import pytest

from deeplock.pymodel.attacks.device import tampering
from deeplock.pymodel.attacks.device.catalogue import ATTACKS
from deeplock.pymodel.attacks.device.endless import ENDLESS
from deeplock.pymodel.attacks.device.target import BEATS, KEY, WEIGHTS, make_target
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.pymodel.zoo import trained
from deeplock.sim.device import RtlDevice
from tests.sim import tiny

CONFIG = Config()
TARGET = make_target(trained.load("digits"), CONFIG, 0)


@pytest.fixture
def rtl():
    with RtlDevice(CONFIG, watchdog=20_000) as device:
        TARGET.provision(device)
        yield device


def test_runs_and_errors_are_those_of_the_golden_device(rtl):
    golden = GoldenDevice(CONFIG)
    locked, ifmaps = TARGET.locked, TARGET.ifmaps(3, 5)
    head, parameters = locked.head, locked.parameters
    jobs = [
        (head, [parameters], ifmaps[:1]),
        (head, [parameters] * 3, ifmaps),
        (head, [parameters[:-8]], ifmaps[:1]),
        (head, [parameters + bytes(8)], ifmaps[:1]),
        (head, [parameters], [ifmaps[0][:-8]]),
        (replace(locked.header, magic=3).pack() + head[64:], [parameters], ifmaps[:1]),
    ]
    for job in jobs:
        for device in (rtl, golden):
            TARGET.provision(device)
        found, expected = rtl.run(*job), golden.run(*job)
        assert (found.error, found.ofmaps, found.hangs) == (expected.error, expected.ofmaps, False)
        assert rtl.status() >> 8 == golden.status() >> 8 == expected.error
        assert bool(rtl.status() & Status.KEYED) == (expected.error == Error.NONE)
    for device in (rtl, golden):
        TARGET.provision(device)
        device.write("CONFIG", 1)  # the key does not outlive the run
        assert device.run(head, [parameters], ifmaps[:1]).error == Error.NONE
        assert not device.status() & Status.KEYED
    assert rtl.run(head, [parameters], ifmaps[:1]).error == Error.NO_KEY


def test_the_key_registers_are_those_of_the_golden_device(rtl):
    """Random writes, most of which go on as a key does; the same answers and the same STATUS."""
    seed = Random().randrange(1 << 32)
    print(f"seed {seed}")
    dice, golden, follows, keys = Random(seed), GoldenDevice(CONFIG), "KEY_SIZE", 0
    for device in (rtl, golden):
        device.zeroise()
    for _ in range(2000):
        name = follows if dice.random() < 0.8 else dice.choice(["KEY_SIZE", "CONTROL", *(f"KEY{i}" for i in range(8))])
        value = dice.choice([Command.ABORT, Command.ZEROISE]) if name == "CONTROL" else dice.choice([16, 24, 32, 20])
        taken = rtl.write(name, value)
        assert taken == golden.write(name, value), (name, value)
        assert rtl.status() == golden.status(), (name, value)
        number = int(name[3:]) + 1 if name[3:].isdigit() else 0
        follows = f"KEY{number}" if taken and number < 8 and not rtl.status() & Status.KEYED else "KEY_SIZE"
        keys += bool(rtl.status() & Status.KEYED)
    assert keys > 50


@pytest.mark.parametrize(
    "name, figures",
    [
        ("chosen-program", {WEIGHTS: 1, KEY: 1}),
        ("desync", {WEIGHTS: 0, KEY: 0}),
        ("malleability", {WEIGHTS: 1, KEY: 1}),
        ("replay", {BEATS: 6, WEIGHTS: 1}),
        ("endless", {BEATS: 0, ENDLESS: 0}),
    ],
)
def test_attacks_on_the_papers_scheme_succeed_and_those_on_the_core_fail(rtl, name, figures):
    results = ATTACKS[name].run(rtl, TARGET, ATTACKS[name].BUDGET, 0, lambda *step: None)
    assert {result.metric: result.value for result in results} == figures


def test_no_order_of_writes_leaves_a_part_of_the_owners_key(rtl):
    results = ATTACKS["provisioning"].run(rtl, TARGET, ATTACKS["provisioning"].BUDGET, 0, lambda *step: None)
    assert {result.metric: result.value for result in results} == {KEY: 0, BEATS: 0}
    TARGET.provision(rtl)
    assert rtl.run(TARGET.locked.head, [TARGET.locked.parameters], TARGET.ifmaps(1, 0)).error == Error.NONE


def test_a_run_that_begins_while_the_memory_is_erased_waits_and_is_right(rtl):
    golden = GoldenDevice(CONFIG)
    job = TARGET.locked.head, [TARGET.locked.parameters], TARGET.ifmaps(1, 3)
    TARGET.provision(golden)
    expected = golden.run(*job)
    assert not rtl.status() & Status.ERASING, "no run has used the memory"
    for _ in range(2):
        assert rtl.run(*job) == expected
        TARGET.provision(rtl)
        assert rtl.status() & Status.ERASING
    assert rtl.run(*job) == expected
    assert not rtl.status() & Status.ERASING


@pytest.mark.parametrize("name", ["remanence", "failed-check"])
def test_the_next_tenant_finds_no_activations(rtl, name):
    (result,) = ATTACKS[name].run(rtl, TARGET, ATTACKS[name].BUDGET, 0, lambda *step: None)
    assert result.metric == BEATS and result.yardstick is not None
    assert result.value == 0 and result.yardstick > 50


@pytest.mark.slow
def test_no_changed_bit_of_a_sealed_loadable_is_taken():
    config = tiny.ACCUMULATORS_TOO_FEW.with_suite("acorn")
    target = make_target(tiny.tiny_network(), config, 0)
    with RtlDevice(config, watchdog=20_000) as device:
        results = tampering.run(device, target, tampering.Budget(parameter_bits=24, head_step=17), 0)
    assert {result.metric: result.value for result in results} == {
        BEATS: 0, tampering.LEFT: 0, tampering.DISAGREEMENTS: 0
    }  # fmt: skip
    assert all(result.inferences is not None and result.inferences > 150 for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["ascon", "acorn", "tinyjambu"])
def test_attacks_on_sealed_suites_fail(suite):
    config = CONFIG.with_suite(suite)
    target = make_target(trained.load("digits"), config, 0)
    for name, module in ATTACKS.items():
        budget = tampering.Budget(parameter_bits=100, head_step=3) if name == "tampering" else module.BUDGET
        with RtlDevice(config, watchdog=20_000) as device:
            target.provision(device)
            results = module.run(device, target, budget, 0, lambda *step: None)
        assert results and {result.value for result in results} == {0}, name
