"""How early the feeder may start a layer: while results of the layer before are still on their way to memory."""

import numpy as np

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor

__all__ = ["LARGEST_SLACK", "slack"]

LARGEST_SLACK = 255


def slack(before: Descriptor, layer: Descriptor, config: Config) -> int:
    """Least sum, over the bytes that `before` writes and `layer` reads, of two numbers of words: those that enter the array
    after the last one that the byte depends on, and those that the feeder reads before the byte. At most LARGEST_SLACK.

    A word takes a cycle or more, so a byte that takes n cycles from its word to memory is there in time if the feeder starts
    n - slack cycles or more after the last word of `before`.
    """
    if before.to_stream:
        return LARGEST_SLACK
    size = config.activation_words * config.rows
    kblocks = layer.kernel_h * layer.kernel_w * layer.cblocks
    reads = np.full(size, LARGEST_SLACK)  # words that are read before each byte
    groups = layer.groups if layer.diagonal else 1  # else all groups read the same
    to_come = kblocks * layer.pixels
    for group in range(min(groups, -(-LARGEST_SLACK // to_come))):
        runs = layer.reads(group, config.rows, config.cols)
        words = np.add.outer(runs, np.arange(layer.cblocks) * config.rows).reshape(layer.pixels, -1)
        number = group * to_come + np.add.outer(np.arange(layer.pixels), np.arange(kblocks) * layer.pixels)
        early = number < LARGEST_SLACK
        bytes_read = np.add.outer(words[early], np.arange(config.rows)) % size
        np.minimum.at(reads, bytes_read, number[early][:, None])
    after = np.full(size, LARGEST_SLACK)  # words that follow the last one that each byte depends on
    result = np.arange(before.out_h * before.results_w)
    last = (result + 1) * before.window - 1  # pixel that completes it
    if before.sliding:
        row, place = np.divmod(result, before.results_w)
        last = row * before.out_w + (place + 1) * before.sliding
    to_end = before.pixels - 1 - last
    length = before.kernel_h * before.kernel_w * before.cblocks * before.pixels
    for group in range(before.groups):
        number = (before.groups - 1 - group) * length + to_end
        channels = group * config.cols + np.arange(before.columns(group, config.cols))
        written = (before.destination + np.add.outer(result * before.pixel_bytes, channels)) % size
        after[written] = np.minimum(number, LARGEST_SLACK)[:, None]
    return int(min(LARGEST_SLACK, (reads + after).min()))
