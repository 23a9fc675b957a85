"""The golden model of a loadable: runs program and parameters as the accelerator does, on the accelerator's memory.

Unlike golden.py, which runs the network before compiling, it sees only what the hardware sees, so that it is exact for any
key. It models values, not cycles, and runs many ifmaps at once.
"""

import numpy as np

from deeplock.pymodel.compiler.parameters import decode_group, decode_table
from deeplock.pymodel.network.golden import accumulate, requantise
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.loadable import Loadable

__all__ = [
    "batched", "gather_words", "looked_up", "multiplied", "pooled", "run", "run_layer", "unfold", "unfold_ifmaps", "write",
]  # fmt: skip


def unfold_ifmaps(loadable: Loadable, ifmaps: np.ndarray) -> np.ndarray:
    """Unfold ifmaps into the bytes int8 [n, bytes] that enter the activation memory."""
    return unfold(loadable.header, np.stack([np.frombuffer(loadable.pack_ifmap(ifmap), np.int8) for ifmap in ifmaps]))


def unfold(header: Header, data: np.ndarray) -> np.ndarray:
    """What the unfolder makes of the bytes int8 [n, bytes] of ifmap packets; addresses wrap behind the last of them."""
    y = np.arange(header.windows_y)[:, None, None, None] * header.y_pitch
    x = np.arange(header.windows_x)[:, None, None] * header.x_pitch
    run = np.arange(header.runs)[:, None] * header.run_pitch
    taps = (y + x + run + np.arange(header.run_bytes)).reshape(header.windows_y * header.windows_x, -1)
    size = taps.shape[1] if header.dense else -(-taps.shape[1] // header.rows) * header.rows
    out = np.zeros((len(data), len(taps), size), np.int8)
    out[:, :, : taps.shape[1]] = data[:, taps % data.shape[1]]
    return out.reshape(len(data), -1)


def batched(values: np.ndarray, batch: int) -> np.ndarray:
    """[n, ...] as [inferences, batch, ...]; the last value is repeated to fill the last inference."""
    values = np.concatenate([values, values[-1:].repeat(-len(values) % batch, axis=0)])
    return values.reshape(-1, batch, *values.shape[1:])


def gather_words(memory: np.ndarray, layer: Descriptor, group: int, config: Config) -> np.ndarray:
    """Gather the words that the feeder reads for a group: memory int8 [n, bytes] -> [n, pixels, kblocks * rows]."""
    run = np.arange(layer.cblocks * config.rows)
    addresses = layer.reads(group, config.rows, config.cols)[:, :, None] + run
    values = memory[:, addresses % memory.shape[1]]
    values[:, layer.outside(config.rows)] = layer.pad_value
    values[..., layer.run_bytes(config.rows) :] = 0
    return values.reshape(len(memory), layer.pixels, -1)


def run(loadable: Loadable, key: bytes, ifmaps: np.ndarray, config: Config) -> np.ndarray:
    """The ofmaps, int8 [n, height, width, channels], that the accelerator gives with `key` for int8 ifmaps [n, h, w, c]."""
    stream = np.frombuffer(loadable.unlocked(key).parameters, np.uint8)
    rows = config.rows
    batches = batched(unfold_ifmaps(loadable, ifmaps), loadable.batch)
    count = len(batches)
    memory = np.zeros((count, config.activation_words * rows), np.int8)
    arriving = enumerate(batches.swapaxes(0, 1))
    results = []
    for layer in loadable.program:
        if layer.wait_input:
            number, values = next(arriving)
            at = loadable.header.first_word(number) * rows
            memory[:, at : at + values.shape[1]] = values
        result, taken = run_layer(memory, layer, stream, config)
        stream = stream[taken:]
        if layer.to_stream:
            results.append(result.reshape(count, -1))
    return np.concatenate(results, axis=1).reshape(-1, *loadable.interface.output_shape)[: len(ifmaps)]


def run_layer(memory: np.ndarray, layer: Descriptor, stream: np.ndarray, config: Config) -> tuple[np.ndarray, int]:
    """A layer's results, int8 [n, pixels, channels], and the bytes of the stream that it takes.

    memory  int8 [n, bytes]; the results are written to it unless they go to the ofmap stream
    stream  uint8, the unlocked parameters from the layer's first on
    """
    rows, cols, count = config.rows, config.cols, len(memory)
    table, outputs, taken = decode_table(layer, stream), [], layer.table_bytes
    for group in range(layer.groups):
        columns = layer.columns(group, cols)
        weights, entries = decode_group(layer, group, stream[taken:], config)
        taken += layer.group_bytes(group, rows, cols)
        sums = accumulate(gather_words(memory, layer, group, config), weights.reshape(-1, cols)[:, :columns])
        bias, *scale = (values[:columns] for values in entries)
        if layer.multiplies:
            sums, bias = multiplied(layer, sums + bias), 0
        values = requantise(sums, bias, *scale, layer.zero_point, layer.lo, layer.hi, layer.sum_bits)
        if table is not None:
            values = looked_up(table, values)
        outputs.append(pooled(values.reshape(count, -1, layer.window, columns), 2, layer))
    result = np.concatenate(outputs, axis=2)
    if not layer.to_stream:
        write(memory, layer, result, cols)
    return result, taken


def multiplied(layer: Descriptor, sums: np.ndarray) -> np.ndarray:
    """The products that sums [...], biases added, stand for: of the values of which the lowest two bytes are (see Opcode)."""
    return (127 - (sums & 255) - layer.zero_a) * (127 - (sums >> 8 & 255) - layer.zero_b)


def looked_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What values int8 [...] become by a table int8 [256], whose first entry is of -128."""
    return table[values.astype(np.int16) + 128]


def pooled(values: np.ndarray, axis: int, layer: Descriptor) -> np.ndarray:
    """Maxima of a layer's pooling windows: their pixels are along `axis`, the windows along axis 1 without it."""
    largest = values.max(axis=axis)
    if not layer.sliding:
        return largest
    count, _, channels = largest.shape
    rows = largest.reshape(count, layer.out_h, layer.out_w, channels)
    windows = np.lib.stride_tricks.sliding_window_view(rows, layer.sliding + 1, axis=2)[:, :, :: layer.sliding]
    return windows.max(axis=-1).reshape(count, -1, channels)


def write(memory: np.ndarray, layer: Descriptor, result: np.ndarray, cols: int) -> None:
    """Write a layer's results int8 [n, pixels, channels] to memory int8 [n, bytes], at whose end addresses wrap.

    As on the accelerator, one column group comes after the other, pixel by pixel: where results overlap, the last one stays.
    """
    first = layer.destination + np.arange(result.shape[1])[:, None] * layer.pixel_bytes
    for begin in range(0, result.shape[2], cols):
        values = result[:, :, begin : begin + cols]
        memory[:, (first + np.arange(begin, begin + values.shape[2])) % memory.shape[1]] = values
