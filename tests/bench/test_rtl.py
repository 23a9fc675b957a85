from dataclasses import replace

import numpy as np

from deeplock.bench.rtl import config_for
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from tests.sim.tiny import tiny_network


def test_the_activation_memory_holds_the_largest_network():
    small = config_for(4, 4, [tiny_network()])
    assert small == Config(rows=4, cols=4, bytes_per_beat=4)
    conv = tiny_network().layers[0]
    assert isinstance(conv, Conv)
    wide = {name: np.concatenate([getattr(conv, name)] * 4) for name in ("weight", "bias", "multiplier", "shift")}
    layers = (
        replace(conv, **wide),
        MaxPool("pool", conv.name, (2, 2), (1, 1)),
    )  # 64 x 64 pixels of 24 channels: 24,576 words
    large = replace(tiny_network(), input_shape=(64, 64, 1), layers=layers)
    assert config_for(4, 4, [tiny_network(), large]).activation_words >= 32768
