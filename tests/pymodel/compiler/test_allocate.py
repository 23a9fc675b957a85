"""No two tensors that are alive at once share a word of activation memory."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler.allocate import allocate, bytes_of, pixel_bytes, read_shape, written_shape
from deeplock.pymodel.compiler.first_layer import plan_input
from deeplock.pymodel.compiler.schedule import plan_steps
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from tests.random_networks import chains

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=512),
    Config(rows=8, cols=8, activation_words=128),
    Config(),
    Config(dense=False),
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=512, dense=False, single_port=True),
]
ROOMY = CONFIGS[2:4]


@settings(max_examples=150)
@given(chains(with_outputs=True), st.sampled_from(CONFIGS))
def test_tensors_that_live_together_lie_apart(case, config):
    try:
        steps, _ = plan_input(plan_steps(case[0], config), config, np.random.default_rng(0))
        places, own = allocate(steps, config)
    except DeeplockError:
        assume(False)
        raise
    sizes = {"input": bytes_of(read_shape(steps[0]), config)}
    for step in steps:
        sizes[step.output] = max(sizes.get(step.output, 0), bytes_of(written_shape(step), config))
    begins = {"input": -1} | {step.output: index for index, step in reversed([*enumerate(steps)])}  # its first writer
    ends = {name: index for index, step in enumerate(steps) for name in step.inputs}
    if own:
        ends["input"] = len(steps)
    half = config.activation_words // 2 * config.rows
    for one, at in places.items():
        assert at % config.rows == 0, f"{one} begins a word, since whole words are placed"
        assert at // half == (at + sizes[one] - 1) // half, f"{one} lies in one bank"
        for other, there in places.items():
            together = begins[one] < begins[other] <= ends[one]
            apart = at + sizes[one] <= there or there + sizes[other] <= at
            assert not together or apart, f"{one} and {other}"
    for step in (step for index, step in enumerate(steps) if step.output in places and begins[step.output] == index):
        banks = {places[name] // half for name in step.inputs}
        if len(banks) == 1 and config in ROOMY:  # where there is room, a step writes to the other bank
            assert places[step.output] // half not in banks


@pytest.mark.parametrize("channels, dense, words", [(1, 1, 8), (7, 7, 8), (8, 8, 8), (9, 9, 16), (30, 30, 32)])
def test_pixels_lie_without_gaps_or_begin_words(channels, dense, words):
    for config, size in ((Config(), dense), (Config(dense=False), words)):
        assert pixel_bytes(channels, config) == size
        assert bytes_of((3, 5, channels), config) == 15 * size
