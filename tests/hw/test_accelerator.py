"""The accelerator as a whole, before any simulation."""

from itertools import product
from typing import Any

import pytest
from amaranth.hdl import Fragment

from deeplock.hw.accelerator import Accelerator
from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec.config import FEATURES, Config

SMALL: dict[str, Any] = {
    "rows": 4, "cols": 4, "bytes_per_beat": 4, "accumulators": 16, "activation_words": 64, "program_words": 32
}  # fmt: skip


@pytest.mark.parametrize("odd", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["even", "odd"])
@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_combination_of_features_elaborates(first, odd):
    """Those of an even number of features hold every combination of any four."""
    for others in product([True, False], repeat=len(FEATURES) - 1):
        values = (first, *others)
        if sum(values) % 2 != odd:
            continue
        chosen = dict(zip(FEATURES, values, strict=True))
        Fragment.get(Accelerator(Config(**SMALL, **chosen)), None).prepare()


@pytest.mark.parametrize("registers", [True, False], ids=["registers", "no registers"])
@pytest.mark.parametrize("name", [name for name in names() if suite(name).seals])
def test_every_suite_that_seals_elaborates_with_licences(name, registers):
    """And with the permissions that enforce their terms. Without them, one suite stands for all."""
    for permissions in (True, False) if (name, registers) == ("ascon", True) else (True,):
        config = Config(**SMALL, suite=name, licences=True, permissions=permissions, pipeline_registers=registers)
        Fragment.get(Accelerator(config), None).prepare()
