"""How early a layer may start, against a count of words one by one."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.overlap import LARGEST_SLACK
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.random_networks import chains

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, accumulators=32, activation_words=1024),
    Config(rows=4, cols=8, bytes_per_beat=4, accumulators=64, activation_words=1024, dense=False),
]


def words_of(layer: Descriptor) -> list[tuple[int, int, int]]:
    """(group, k-block, pixel) of every word, in the order in which they enter the array."""
    kblocks = layer.kernel_h * layer.kernel_w * layer.cblocks
    return [
        (group, kblock, pixel)
        for group in range(layer.groups)
        for kblock in range(kblocks)
        for pixel in range(layer.pixels)
    ]


def last_pixels(layer: Descriptor) -> list[int]:
    """The pixel that completes each result."""
    if layer.sliding:
        columns = range(layer.sliding, layer.out_w, layer.sliding)
        return [row * layer.out_w + column for row in range(layer.out_h) for column in columns]
    return list(range(layer.window - 1, layer.pixels, layer.window))


def words_after(layer: Descriptor, config: Config) -> dict[int, int]:
    """Words that follow the last one that each byte depends on, by address, of all bytes that the layer writes."""
    words, after = words_of(layer), {}
    kblocks = layer.kernel_h * layer.kernel_w * layer.cblocks
    number = {word: len(words) - 1 - at for at, word in enumerate(words)}
    for group in range(layer.groups):
        for result, pixel in enumerate(last_pixels(layer)):
            for channel in range(layer.columns(group, config.cols)):
                address = layer.destination + result * layer.pixel_bytes + group * config.cols + channel
                after[address] = number[group, kblocks - 1, pixel]
    return after


def words_before(layer: Descriptor, config: Config) -> dict[int, int]:
    """Words that are read before each byte is, by address, of all bytes that the layer reads."""
    before: dict[int, int] = {}
    reads = [layer.reads(group, config.rows, config.cols) for group in range(layer.groups)]
    for number, (group, kblock, pixel) in enumerate(words_of(layer)):
        run, word = divmod(kblock, layer.cblocks)
        first = int(reads[group][pixel, run]) + word * config.rows
        for byte in range(config.rows):
            before.setdefault((first + byte) % (config.activation_words * config.rows), number)
    return before


@settings(max_examples=60)
@given(chains(most_channels=9, most_pixels=6), st.sampled_from(CONFIGS))
def test_slack_is_the_least_sum_of_words_after_and_before_a_byte(case, config):
    try:
        program = compile_network(case[0], config, np.random.default_rng(0)).program
    except DeeplockError:
        return  # does not fit: test_compiler.py looks after that
    assert program[0].slack == 0
    for layer, following in pairwise(program):
        least = LARGEST_SLACK
        if not layer.to_stream:
            after, before = words_after(layer, config), words_before(following, config)
            least = min([LARGEST_SLACK, *(after[byte] + before[byte] for byte in after.keys() & before.keys())])
        assert following.slack == least
