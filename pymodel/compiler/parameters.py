"""The parameter section: the order in which the array takes a layer's parameters, and their bytes.

First the table of a layer that has one: what 256 values become, in the order -128, -127, ..., 127. Then, per group of up to
`cols` output channels: `cols` entries of `ENTRY.size` bytes, then the weight tiles. A tile is up to `rows`
rows of `cols` bytes, one byte per column. The last group, if it fills p <= cols/2 columns (p a power of two), is folded:
cols/p k-blocks lie side by side in a tile, so that padding columns cost no beats. A depthwise layer has, instead of tiles,
`cols` bytes for each kernel position. Bytes that the network does not define are random: a byte that an attacker can predict
gives its key byte away.
"""

import numpy as np

from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.spec import entry
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY, Entries

__all__ = ["decode_group", "decode_table", "encode_groups", "encode_layer", "fold_of"]


def fold_of(columns: int, cols: int) -> int:
    """log2 of the number of k-blocks that lie side by side in a tile of a group of `columns` channels."""
    return (cols // (1 << (columns - 1).bit_length())).bit_length() - 1


def encode_layer(does: Lowered, descriptor: Descriptor, config: Config, rng: np.random.Generator) -> np.ndarray:
    """All parameters of one layer in stream order, as uint8."""
    parts = []
    if does.table:
        table = np.frombuffer(does.table, np.uint8).copy()
        clamped = np.arange(-128, 128)
        never = (clamped < does.lo) | (clamped > does.hi)
        table[never] = rng.integers(0, 256, np.count_nonzero(never))
        parts.append(table)
    if isinstance(does.weights, Streamed):
        parts.append(encode_groups(does.weights, descriptor, config, rng))
    return np.concatenate(parts)


def decode_table(layer: Descriptor, data: np.ndarray) -> np.ndarray | None:
    """What -128, -127 and so on become, int8 [256], if the layer has a table; else None.

    data  uint8, the layer's unlocked bytes
    """
    return data[: layer.table_bytes].view(np.int8) if layer.table_bytes else None


def encode_groups(weights: Streamed, descriptor: Descriptor, config: Config, rng: np.random.Generator) -> np.ndarray:
    """Entries and weights of one layer in stream order, as uint8."""
    if descriptor.diagonal:
        return _encode_diagonal(weights, descriptor, config, rng)
    rows, cols = config.rows, config.cols
    out, cblocks = len(weights.weight), descriptor.cblocks
    positions, channels = descriptor.kernel_h * descriptor.kernel_w, descriptor.run_bytes(rows)
    blocks = np.zeros((out, positions, cblocks * rows), np.int8)
    blocks[:, :, :channels] = weights.weight.reshape(out, positions, channels)
    valid = np.zeros((positions, cblocks * rows), bool)
    valid[:, :channels] = True
    blocks = blocks.reshape(out, positions * cblocks, rows)
    valid = valid.reshape(positions * cblocks, rows)
    parts = []
    for group in range(descriptor.groups):
        here, count = _channels(weights, group, cols)
        parts.append(_encode_entries(weights, descriptor, here, cols, rng))
        sides, heights = descriptor.sides(group), descriptor.tile_rows(group, rows)
        tiles = rng.integers(0, 256, (len(heights), rows, cols), dtype=np.uint8)
        width = cols // sides
        for block in range(len(valid)):
            tile, side = divmod(block, sides)
            used = valid[block]
            tiles[tile, used, side * width : side * width + count] = blocks[here, block][:, used].T.view(np.uint8)
        parts.extend(tile[:height].ravel() for tile, height in zip(tiles, heights, strict=True))
    return np.concatenate(parts)


def _channels(weights: Streamed, group: int, cols: int) -> tuple[slice, int]:
    """A group's output channels among the layer's, and their number."""
    first = group * cols
    count = min(cols, len(weights.weight) - first)
    return slice(first, first + count), count


def _encode_entries(
    weights: Streamed, descriptor: Descriptor, here: slice, cols: int, rng: np.random.Generator
) -> np.ndarray:
    entries = Entries(*(values[here] for values in weights.entries))
    return entry.encode(entries, descriptor.sum_bits, cols, rng).ravel()


def _encode_diagonal(weights: Streamed, descriptor: Descriptor, config: Config, rng: np.random.Generator) -> np.ndarray:
    """As `encode_groups`: behind a group's entries the weights of its channels, kernel position by kernel position."""
    parts = []
    for group in range(descriptor.groups):
        here, count = _channels(weights, group, config.cols)
        parts.append(_encode_entries(weights, descriptor, here, config.cols, rng))
        values = rng.integers(0, 256, (weights.weight.shape[1], config.cols), dtype=np.uint8)
        values[:, :count] = weights.weight[here, :, 0].T.view(np.uint8)
        parts.append(values.ravel())
    return np.concatenate(parts)


def decode_group(descriptor: Descriptor, group: int, data: np.ndarray, config: Config) -> tuple[np.ndarray, Entries]:
    """Weights int8 [kblocks, rows, cols] and entries [cols] of a group.

    data  uint8, the group's unlocked bytes: any bytes, if the key is wrong; unused by weights that are made on chip
    """
    if descriptor.diagonal:
        return _diagonal_group(descriptor, data, config)
    cols, kblocks, sides = config.cols, descriptor.kblocks, descriptor.sides(group)
    weights = np.zeros((kblocks, config.rows, cols), np.int8)
    position, width = cols * ENTRY.size, cols // sides
    entries = entry.decode(data[:position].reshape(cols, ENTRY.size))
    for tile, height in enumerate(descriptor.tile_rows(group, config.rows)):
        values = data[position : position + height * cols].view(np.int8).reshape(height, cols)
        position += height * cols
        for side in range(min(sides, kblocks - tile * sides)):
            weights[tile * sides + side, :height, :width] = values[:, side * width : (side + 1) * width]
    return weights, entries


def _diagonal_group(descriptor: Descriptor, data: np.ndarray, config: Config) -> tuple[np.ndarray, Entries]:
    """Row r of channel block b has its weight in column b * rows + r; if `alike`, every k-block has the first one's weights."""
    rows, cols, cblocks = config.rows, config.cols, descriptor.cblocks
    if descriptor.streamed:
        size = cols * ENTRY.size
        entries = entry.decode(data[:size].reshape(cols, ENTRY.size))
        values = data[size : descriptor.group_bytes(0, rows, cols)].view(np.int8).reshape(-1, cols)
    else:
        scale = (
            descriptor.bias,
            descriptor.multiplier | 1 << 15,
            descriptor.shift_1 + 1,
        )  # the accelerator implies this bit
        entries = Entries(*(np.full(cols, value) for value in scale))
        values = np.full((descriptor.kernel_h * descriptor.kernel_w, cols), descriptor.diagonal_b, np.int8)
        values[0] = descriptor.diagonal_a
    row = np.arange(rows)
    weights = np.zeros((len(values) * cblocks, rows, cols), np.int8)
    for number in range(len(weights)):
        position, block = divmod(0 if descriptor.alike else number, cblocks)
        columns = block * rows + row
        weights[number, row, columns] = values[position, columns]
    return weights, entries
