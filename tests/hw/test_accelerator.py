"""The accelerator as a whole, before any simulation."""

from itertools import product

import pytest
from amaranth.hdl import Fragment

from deeplock.hw.accelerator import Accelerator
from deeplock.pymodel.spec.config import FEATURES, Config


@pytest.mark.parametrize("odd", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["even", "odd"])
@pytest.mark.parametrize("first", [True, False])
def test_every_combination_of_features_elaborates(first, odd):
    """Those of an even number of features hold every combination of any four."""
    for others in product([True, False], repeat=len(FEATURES) - 1):
        values = (first, *others)
        if sum(values) % 2 != odd:
            continue
        chosen = dict(zip(FEATURES, values, strict=True))
        config = Config(
            rows=4, cols=4, bytes_per_beat=4, accumulators=16, activation_words=64, program_words=32, **chosen
        )
        Fragment.get(Accelerator(config), None).prepare()
