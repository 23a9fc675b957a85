"""Every attack on digits with its small budget: it runs, it repeats itself, and it comes out as theory says."""

import numpy as np
import pytest
import torch

from deeplock.pymodel.attacks import fine_tuning, genetic, pruning, weak_sbox, wrong_key
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.attacks.catalogue import ATTACKS, COLUMNS, compare_with_scratch, jobs, record, run_job
from deeplock.pymodel.attacks.linear_schedule import expand, solve_key
from deeplock.pymodel.attacks.target import SCHEMES, SCRATCH
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.sbox import SBOX, properties
from deeplock.pymodel.schemes.victim import parameter_layers


def figures(results) -> dict[str, float]:
    return {result.metric: result.value for result in results}


def test_wrong_keys_guess_on_deep_lock_and_nearly_right_ones_do_on_hpnn(target):
    locked = figures(wrong_key.run(target("deep-lock"), wrong_key.QUICK, 0))
    keyed = figures(wrong_key.run(target("hpnn"), wrong_key.QUICK, 0))
    assert locked["accuracy, random keys, best"] <= 0.15
    assert locked["accuracy, one bit off, mean (held-out images)"] <= 0.3
    assert keyed["accuracy, one bit off, mean (held-out images)"] >= 0.9
    assert keyed["accuracy, nearest key"] >= 0.95


def test_a_flipped_bit_is_one_bit():
    key = bytes(range(16))
    flipped = {flip(key, bit) for bit in range(128)}
    assert len(flipped) == 128
    for other in flipped:
        difference = np.frombuffer(key, np.uint8) ^ np.frombuffer(other, np.uint8)
        assert np.bitwise_count(difference).sum() == 1


def test_a_genetic_search_gains_on_hpnn_and_not_on_deep_lock(target):
    (keyed,) = genetic.run(target("hpnn"), genetic.Budget(population=16, generations=12, images=128), 0)
    (locked,) = genetic.run(target("deep-lock"), genetic.QUICK, 0)
    assert keyed.value >= 0.7
    assert keyed.yardstick is not None and keyed.value > keyed.yardstick
    assert keyed.curve[-1][1] > keyed.curve[0][1] + 0.2
    assert locked.value <= 0.2
    fitnesses = [value for _, value in keyed.curve]
    assert fitnesses == sorted(fitnesses)  # the elite stays


def test_fine_tuning_of_locked_weights_is_worth_training_from_scratch(target):
    """As they are, random float32 cannot be trained (the paper's Figure 2); reset, they do as well as from scratch."""
    as_is, after_reset = fine_tuning.QUICK
    (locked,) = fine_tuning.run(target("deep-lock"), as_is, 0)
    (reset,) = fine_tuning.run(target("deep-lock"), after_reset, 0)
    (scratch,) = fine_tuning.run(target(SCRATCH), as_is, 0)
    (keyed,) = fine_tuning.run(target("hpnn"), as_is, 0)
    assert locked.value <= 0.15
    assert reset.value >= scratch.value - 0.1
    assert reset.value >= 0.6
    assert keyed.value >= 0.75
    assert [x for x, _ in reset.curve] == list(range(as_is.epochs + 1))
    assert [x for x, _ in locked.curve] == list(range(as_is.epochs + 1))


def test_reset_leaves_what_can_be_trained(target):
    module = target("hpnn").stolen()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    fine_tuning.reset(module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    locked = target("deep-lock").stolen()
    fine_tuning.reset(locked)
    for _, layer in parameter_layers(locked):
        rms = layer.weight.detach().square().mean().sqrt()
        assert float(rms) == pytest.approx((2 / layer.weight[0].numel()) ** 0.5, rel=0.05)


def test_pruning_sets_the_smallest_weights_to_0(target):
    module = target("hpnn").stolen()
    pruned = pruning.prune(module, 0.5)
    for (_, layer), (_, before) in zip(parameter_layers(pruned), parameter_layers(module), strict=True):
        gone = layer.weight == 0
        assert abs(float(gone.float().mean()) - 0.5) < 0.01
        assert before.weight[gone].abs().max() <= before.weight[~gone].abs().min()
    (result,) = pruning.run(target("deep-lock"), pruning.QUICK, 0)
    assert result.value <= 0.15
    assert result.yardstick is not None and result.yardstick > 0.8


def test_the_sbox_of_the_lock_does_not_matter_and_that_of_the_schedule_does(target):
    found = figures(weak_sbox.run(target("deep-lock"), weak_sbox.QUICK, 0))
    wrong = [found[f"accuracy, random keys, mean ({name})"] for name in weak_sbox.SBOXES]
    assert max(wrong) <= 0.15
    assert [found[f"non-linearity ({name})"] for name in weak_sbox.SBOXES] == [112, 0, 0]
    assert found["keys that linear algebra finds (affine)"] == 1
    assert found["key bits that linear algebra finds (affine)"] == 128
    assert found["key bits that linear algebra finds (identity)"] == 16  # bit 30 sees one bit of each key byte in 8


def test_a_wrong_key_unlocks_the_same_with_every_sbox():
    from deeplock.pymodel.lock.suites.deep_lock import DeepLock

    data = np.random.default_rng(2).integers(0, 256, 999, np.uint8)
    locks = [DeepLock(sbox) for sbox in weak_sbox.SBOXES.values()]
    opened = [lock.unlock(lock.lock(data, bytes(16)), bytes([1] * 16)) for lock in locks]
    assert (opened[0] != data).any()
    assert (opened[0] == opened[1]).all() and (opened[0] == opened[2]).all()


def test_the_linear_schedule_is_the_key_schedule_but_for_its_sbox():
    keys = np.random.default_rng(3).integers(0, 256, (3, 16), np.uint8)
    assert (expand(keys, 999, SBOX) == [expand_key(key.tobytes(), 999) for key in keys]).all()
    assert properties(weak_sbox.affine_sbox()).algebraic_degree == 1


def test_linear_algebra_needs_the_right_bits():
    sbox, key = weak_sbox.affine_sbox(), np.random.default_rng(4).integers(0, 256, (1, 16), np.uint8)
    bits = 8 * np.arange(3, 2_400, 4) + 1
    values = np.unpackbits(expand(key, 2_400, sbox)[0])[bits].astype(bool)
    assert solve_key(sbox, bits, values).key == key.tobytes()
    values[5] ^= True
    assert solve_key(sbox, bits, values).key != key.tobytes()


def test_the_same_job_gives_the_same_figures():
    chosen = [job for job in jobs(["genetic", "fine-tuning"], ["digits"], [1], True, 100) if job.scheme == "hpnn"]
    assert [run_job(job) for job in chosen] == [run_job(job) for job in chosen]


def test_every_attack_has_its_jobs_and_rows():
    found = list(jobs(ATTACKS, ["digits"], [0, 1], True, 360))
    assert {job.attack for job in found} == set(ATTACKS)
    assert {job.scheme for job in found} == {*SCHEMES, SCRATCH}
    assert len({str(job.settings) for job in found}) == len(found)
    for module in ATTACKS.values():
        assert module.NEEDS and module.SCHEMES
    job = next(job for job in found if job.attack == "pruning")
    rows, curves = record(job, run_job(job))
    assert all(tuple(row) == COLUMNS for row in rows)
    assert curves[0]["points"][0][0] == 0.1
    with pytest.raises(DeeplockError, match="attack must be one of known-plaintext, .*, not luck"):
        list(jobs(["luck"], ["digits"], [0], True, 360))


def test_fine_tunings_yardstick_is_the_best_from_scratch():
    def row(scheme: str, rate: float, value: float, share: float = 0.1) -> dict:
        budget = {"share": share, "epochs": 5, "learning_rate": rate}
        return {
            "attack": "fine-tuning",
            "network": "n",
            "seeds": [0],
            "scheme": scheme,
            "budget": budget,
            "value": value,
        }

    rows = [row("hpnn", 1, 0.9), row(SCRATCH, 1, 0.5), row(SCRATCH, 2, 0.7), row("hpnn", 1, 0.3, 0.01)]
    compare_with_scratch(rows)
    assert [entry["yardstick"] for entry in rows] == [0.7, 0.7, 0.7, None]
