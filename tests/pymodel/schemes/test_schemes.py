"""What every scheme must do: the owner's accuracy with the key, chance or little more without it, same seed same key."""

import numpy as np
import pytest
import torch

from deeplock.pymodel.attacks.target import SCHEMES, load_target, measure, scheme
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint
from deeplock.pymodel.schemes.adv_params import ENTRY, AdvParams
from deeplock.pymodel.schemes.deep_lock import DeepLock
from deeplock.pymodel.schemes.secure_net import LICENCE_BITS, Licence, SecureNet
from deeplock.pymodel.schemes.victim import load_victim

WITH_KEY = {"deep-lock": 0.0, "hpnn": 0.0, "adv-params": 0.0, "secure-net": 0.08}
"""Accuracy that a scheme may cost whoever has the key."""

WITHOUT_KEY = {"deep-lock": 0.15, "hpnn": 0.45, "adv-params": 0.2, "secure-net": 0.15}


@pytest.mark.parametrize("name", SCHEMES)
def test_right_with_the_key_and_wrong_without(name, target):
    found = target(name)
    chosen, protected = found.locked()
    plain = measure(found.victim.module, found.victim.test)
    assert measure(chosen.authorise(protected, found.key), found.victim.test) >= plain - WITH_KEY[name] - 1e-9
    assert measure(chosen.authorise(protected, None), found.victim.test) <= WITHOUT_KEY[name]
    wrong = chosen.random_key(protected, np.random.default_rng(1))
    assert measure(chosen.authorise(protected, wrong), found.victim.test) <= WITHOUT_KEY[name]


@pytest.mark.parametrize("name", SCHEMES)
def test_run_is_the_authorised_network(name, target):
    found = target(name)
    chosen, protected = found.locked()
    inputs = found.victim.test.inputs(slice(0, 20))
    with torch.no_grad():
        expected = chosen.authorise(protected, found.key)(inputs)
    assert torch.equal(chosen.run(protected, found.key, inputs), expected)
    (many,) = chosen.authorise_many(protected, [found.key])
    with torch.no_grad():
        assert torch.equal(many(inputs), expected)


@pytest.mark.parametrize("name", ["deep-lock", "hpnn", "adv-params"])
def test_the_right_key_gives_every_bit_back(name, target):
    found = target(name)
    chosen, protected = found.locked()
    opened = chosen.authorise(protected, found.key).state_dict()
    assert all(torch.equal(opened[name], value) for name, value in found.victim.module.state_dict().items())


@pytest.mark.parametrize("name", ["deep-lock", "hpnn", "adv-params"])
def test_the_seed_gives_the_key(name):
    victim = load_victim("digits", None, 360)
    (_, first), (_, again), (_, other) = (scheme(name, "digits").protect(victim, seed) for seed in (3, 3, 4))
    assert first == again != other


def test_deep_lock_hands_out_what_deeplock_lock_writes(target):
    _, protected = target("deep-lock").locked()
    assert isinstance(protected.content, Checkpoint)
    assert protected.content.locked_by == "deep-lock"
    assert DeepLock().suite.name == "deep-lock"


def test_adv_params_moves_few_parameters_and_none_out_of_its_tensors_range(target):
    found = target("adv-params")
    _, protected = found.locked()
    entries = np.frombuffer(found.key, ENTRY)
    before, after = dict(found.victim.module.named_parameters()), dict(protected.content.named_parameters())
    changed = sum(int((before[name] != after[name]).sum()) for name in before)
    assert 0 < changed <= len(entries) <= AdvParams().rounds
    for name in before:
        assert before[name].min() <= after[name].min() and after[name].max() <= before[name].max()


def test_a_licence_may_allow_some_classes_and_be_replaced(target):
    """Full and limited licences at once; then the limited one, and no other, is replaced."""
    victim, teacher = load_victim("digits", None, 360), SecureNet(epochs=25, learning_rate=1e-2)
    rng = np.random.default_rng(9)
    full, limited = (Licence(rng.bytes(LICENCE_BITS // 8), classes) for classes in (None, (0, 1, 2, 3, 4)))
    module = teacher.teach(victim.module, victim.train, [full, limited], 0)
    protected = type(target("secure-net").locked()[1])("digits", (module, "digits"))
    low, high = (victim.test.take(torch.from_numpy(np.flatnonzero(mask))) for mask in _halves(victim))
    for images, licence, least, most in (
        (low, full, 0.75, 1),
        (high, full, 0.75, 1),
        (low, limited, 0.75, 1),
        (high, limited, 0, 0.15),
    ):
        assert least <= measure(teacher.authorise(protected, licence.key), images) <= most
    assert measure(teacher.authorise(protected, None), high) <= 0.1


def _halves(victim) -> tuple[np.ndarray, np.ndarray]:
    low = victim.test.labels.numpy() < 5
    return low, ~low


def test_a_replaced_licence_no_longer_holds(target):
    found = target("secure-net")
    teacher, protected = found.locked()
    assert isinstance(teacher, SecureNet)
    renewed, key = teacher.replace_licence(protected, found.victim, found.key, 5)
    assert key != found.key
    assert measure(teacher.authorise(renewed, key), found.victim.test) >= 0.8
    assert measure(teacher.authorise(renewed, found.key), found.victim.test) <= 0.3


def test_unknown_schemes_are_named():
    with pytest.raises(
        DeeplockError, match="^scheme must be one of deep-lock, hpnn, adv-params, secure-net, not rot13$"
    ):
        scheme("rot13", "digits")
    with pytest.raises(DeeplockError, match="^scratch has no key to attack$"):
        load_target("digits", "scratch", 0, None, 360).locked()
