"""The parameter section: the order in which the array takes a layer's parameters, and the bytes that it is made of.

Per group of up to `cols` output channels: `cols` entries of `ENTRY_BYTES`, then the weight tiles. A tile is up to `rows`
rows of `cols` bytes, one byte per column. The last group, if it fills p <= cols/2 columns (p a power of two), is folded:
cols/p k-blocks lie side by side in a tile, so that padding columns cost no beats. Bytes that the network does not define
are random: a byte that an attacker can predict gives its key byte away.
"""

import numpy as np

from deeplock.pymodel.spec.config import Config

__all__ = ["ENTRY_BYTES", "encode_groups", "decode_groups", "fold_of", "tile_rows"]

ENTRY_BYTES = 8


def fold_of(columns: int, cols: int) -> int:
    """log2 of how many k-blocks lie side by side in the tiles of a group of `columns` channels."""
    return (cols // (1 << (columns - 1).bit_length())).bit_length() - 1


def tile_rows(descriptor: dict[str, int], rows: int, fold: int) -> list[int]:
    """Rows of every tile of a group, in order."""
    cblocks, last = descriptor["cblocks"], descriptor["rows_last"]
    if fold == 0:
        return [last if block % cblocks == cblocks - 1 else rows for block in range(descriptor["kblocks"])]
    return [last if cblocks == 1 else rows] * -(-descriptor["kblocks"] >> fold)


def _group_fold(descriptor: dict[str, int], group: int) -> int:
    return descriptor["fold"] if group == descriptor["groups"] - 1 else 0


def _encode_entries(layer, channels: slice, cols: int, rng: np.random.Generator) -> np.ndarray:
    entries = rng.integers(0, 256, (cols, ENTRY_BYTES), dtype=np.uint8)
    bias = layer.bias[channels].astype("<i4").view(np.uint8).reshape(-1, 4)
    count = len(bias)
    known = layer.accumulator_bits // 8
    entries[:count, :known] = bias[:, :known]
    scale = entries[:count, 4:].copy().view("<u4")[:, 0]
    fields = (layer.multiplier[channels].astype(np.uint32) & 0x7FFF) | (
        (layer.shift[channels].astype(np.uint32) - 1) << 16
    )
    mask = np.uint32(0x003F_7FFF)
    entries[:count, 4:] = ((scale & ~mask) | fields).astype("<u4").view(np.uint8).reshape(-1, 4)
    return entries


def encode_groups(layer, descriptor: dict[str, int], config: Config, rng: np.random.Generator) -> np.ndarray:
    """All parameters of one layer (weight int8 [out, positions, channels]) in stream order, as uint8."""
    rows, cols = config.rows, config.cols
    out, positions, channels = layer.weight.shape
    cblocks = descriptor["cblocks"]
    blocks = np.zeros((out, positions, cblocks * rows), np.int8)
    blocks[:, :, :channels] = layer.weight
    valid = np.zeros((positions, cblocks * rows), bool)
    valid[:, :channels] = True
    blocks = blocks.reshape(out, positions * cblocks, rows)
    valid = valid.reshape(positions * cblocks, rows)
    parts = []
    for group in range(descriptor["groups"]):
        first = group * cols
        count = min(cols, out - first)
        parts.append(_encode_entries(layer, slice(first, first + count), cols, rng).ravel())
        fold = _group_fold(descriptor, group)
        heights = tile_rows(descriptor, rows, fold)
        tiles = rng.integers(0, 256, (len(heights), rows, cols), dtype=np.uint8)
        width = cols >> fold
        for block in range(len(valid)):
            tile, side = divmod(block, 1 << fold)
            used = valid[block]
            tiles[tile, used, side * width : side * width + count] = blocks[first : first + count, block][
                :, used
            ].T.view(np.uint8)
        parts.extend(tile[:height].ravel() for tile, height in zip(tiles, heights, strict=True))
    return np.concatenate(parts)


def decode_groups(descriptor: dict[str, int], stream: np.ndarray, config: Config):
    """Read one layer back from unlocked bytes, which a wrong key makes anything.

    Returns (weights int8 [groups, kblocks, rows, cols], bias, multiplier, shift: int64 [groups, cols], bytes taken).
    """
    rows, cols = config.rows, config.cols
    groups, kblocks = descriptor["groups"], descriptor["kblocks"]
    weights = np.zeros((groups, kblocks, rows, cols), np.int8)
    bias, multiplier, shift = (np.zeros((groups, cols), np.int64) for _ in range(3))
    position = 0
    for group in range(groups):
        words = stream[position : position + cols * ENTRY_BYTES].view("<u4").reshape(cols, 2)
        position += cols * ENTRY_BYTES
        bias[group] = words[:, 0].astype(np.int32)
        multiplier[group] = (words[:, 1] & 0x7FFF) | 0x8000
        shift[group] = ((words[:, 1] >> 16) & 0x3F) + 1
        fold = _group_fold(descriptor, group)
        width = cols >> fold
        for tile, height in enumerate(tile_rows(descriptor, rows, fold)):
            data = stream[position : position + height * cols].view(np.int8).reshape(height, cols)
            position += height * cols
            for side in range(min(1 << fold, kblocks - (tile << fold))):
                weights[group, (tile << fold) + side, :height, :width] = data[:, side * width : (side + 1) * width]
    return weights, bias, multiplier, shift, position
