"""Finds likely keys from lists of likely strand states: strands are joined to pairs, pairs to whole blocks.

One strand gives one byte of a block of 16; two strands together give one or two more, and all four give all (strands.py).
So the right state need not come first in its strand's list: in the end, candidates are ranked by all bytes.
"""

import numpy as np

from deeplock.pymodel.attacks.strands import STRANDS, block_of, run_strand

__all__ = ["best_block"]

_BEHIND = 3  # blocks before the first in which a's bytes are known


def _look_up(scores: np.ndarray, block: int, byte: int, values: np.ndarray) -> np.ndarray:
    return scores[16 * block + byte].take(values)


def _pairs(
    scores: np.ndarray, lists: dict[int, np.ndarray], first: int, start: int, keep: int
) -> tuple[np.ndarray, ...]:
    """Best pairs of strands `first` and `first` + 2: (indices into the lists int64 [2, keep], their scores)."""
    one, two = lists[first], lists[first + 2]
    blocks = one.shape[1]
    total = np.zeros((len(one), len(two)), np.float32)
    for i in range(blocks):
        for strand, other in ((one, two), (two, one)):
            byte = (first + (2 if strand is two else 0) - start - i) % 4
            own = _look_up(scores, i, 12 + byte, strand[:, i])
            total += own[:, None] if strand is one else own
            if i >= 2:  # b = x(t) + x(t-2)
                crossed = (
                    strand[:, i, None] ^ other[:, i - 2] if strand is one else other[:, i - 2, None] ^ strand[:, i]
                )
                total += _look_up(scores, i, 4 + byte, crossed)
    order = np.argsort(-total, axis=None, kind="stable")[:keep]
    return np.stack(np.unravel_index(order, total.shape)), total.ravel()[order]


def best_block(
    scores: np.ndarray, states: list[np.ndarray], start: int, pairs: int = 512
) -> tuple[np.ndarray, int, float, float]:
    """The likeliest block of the stream, uint8 [16], its index, its score and the next best key's, both in bits.

    scores  float [16 * blocks, 256]: log2 likelihood ratio of each value of each byte of the key stream
    states  for each strand, uint8 [n, 4]: bytes of blocks start .. start + 3, as `strand_search.search` finds them
    pairs   number of pairs of strands that are kept
    """
    scores = scores.astype(np.float32)
    blocks = len(scores) // 16
    lists = {j: run_strand(states[j], j, start, blocks) for j in range(STRANDS)}
    chosen = {first: _pairs(scores, lists, first, start, pairs) for first in (0, 1)}
    strands = {j: lists[j][chosen[j % 2][0][j // 2]] for j in range(STRANDS)}  # [pairs, blocks]
    total = chosen[0][1][:, None] + chosen[1][1][None]

    def of(strand: int, i: int) -> np.ndarray:
        values = strands[strand % 4][:, i]
        return values[:, None] if strand % 2 == 0 else values[None]

    for i in range(1, blocks):
        for byte in range(4):
            j = byte + start + i
            first = of(j, i) ^ of(j - 1, i - 1)
            total += _look_up(scores, i, 8 + byte, first)  # c = x(t) + x(t-1)
            if i >= _BEHIND:  # a = x(t) + x(t-1) + x(t-2) + x(t-3)
                total += _look_up(scores, i, byte, first ^ of(j - 2, i - 2) ^ of(j - 3, i - 3))
    order = np.argsort(-total, axis=None, kind="stable")[:2]
    best = np.unravel_index(order[0], total.shape)
    state = np.stack([strands[j][best[j % 2], :4] for j in range(STRANDS)])
    runner_up = float(total.ravel()[order[1]]) if len(order) > 1 else float("-inf")
    return block_of(state, start + 3), start + 3, float(total.ravel()[order[0]]), runner_up
