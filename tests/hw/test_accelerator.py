"""The accelerator as a whole, before any simulation."""

from itertools import product

import pytest
from amaranth.hdl import Fragment

from deeplock.hw.accelerator import Accelerator
from deeplock.pymodel.spec.config import FEATURES, Config


@pytest.mark.parametrize("pipeline_registers", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_every_combination_of_features_elaborates(dense, pipeline_registers):
    last = {"dense": dense, "pipeline_registers": pipeline_registers}
    for values in product([True, False], repeat=len(FEATURES) - len(last)):
        chosen = dict(zip(FEATURES, values, strict=False)) | last
        assert chosen.keys() == FEATURES.keys()
        config = Config(
            rows=4, cols=4, bytes_per_beat=4, accumulators=16, activation_words=64, program_words=32, **chosen
        )
        Fragment.get(Accelerator(config), None).prepare()
