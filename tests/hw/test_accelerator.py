"""The accelerator as a whole, before any simulation."""

from itertools import combinations, product
from typing import Any

import pytest
from amaranth.hdl import Fragment

from deeplock.hw.accelerator import Accelerator
from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec.config import FEATURES, Config

SMALL: dict[str, Any] = {
    "rows": 4, "cols": 4, "bytes_per_beat": 4, "accumulators": 16, "activation_words": 64, "program_words": 32
}  # fmt: skip


EVERY = list(product([False, True], repeat=len(FEATURES)))
THREE = [(a, b, c, d, a ^ b ^ d, a ^ c ^ d, b ^ c ^ d) for a, b, c, d in product([False, True], repeat=4)]
"""Among these, the words of a Hamming code, is every combination of any three features."""


@pytest.mark.parametrize("chosen", [THREE, pytest.param(EVERY, marks=pytest.mark.slow)], ids=["three", "every"])
def test_combinations_of_features_elaborate(chosen):
    for values in chosen:
        features = dict(zip(FEATURES, values, strict=True))
        Fragment.get(Accelerator(Config(**SMALL, **features)), None).prepare()


def test_any_three_features_are_combined():
    for three in combinations(range(len(FEATURES)), 3):
        assert len({tuple(values[index] for index in three) for values in THREE}) == 8


@pytest.mark.parametrize("registers", [True, False], ids=["registers", "no registers"])
@pytest.mark.parametrize("name", [name for name in names() if suite(name).seals])
def test_every_suite_that_seals_elaborates_with_licences(name, registers):
    """And with the permissions that enforce their terms. Without them, one suite stands for all."""
    for permissions in (True, False) if (name, registers) == ("ascon", True) else (True,):
        config = Config(**SMALL, suite=name, licences=True, permissions=permissions, pipeline_registers=registers)
        Fragment.get(Accelerator(config), None).prepare()
