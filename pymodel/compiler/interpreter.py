"""The golden model of a loadable: runs program and parameters as the accelerator does, on the accelerator's memory.

Unlike golden.py, which runs the network that was compiled, it sees only what the hardware sees, so it is right for any
key. Values, not cycles; a whole batch of ifmaps at once.
"""

import numpy as np

from deeplock.pymodel.compiler.parameters import decode_groups
from deeplock.pymodel.network.golden import accumulate, requantise
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.program import pixels_of

__all__ = ["batched", "diagonal_weights", "gather_words", "pixel_order", "run", "unfold_ifmaps"]


def unfold_ifmaps(loadable: Loadable, ifmaps: np.ndarray) -> np.ndarray:
    """Words [n, words, rows] that the ifmap becomes on its way into the activation memory."""
    header, rows = loadable.header, loadable.header["rows"]
    data = np.stack([np.frombuffer(loadable.pack_ifmap(ifmap), np.int8) for ifmap in ifmaps])
    y = np.arange(header["windows_y"])[:, None, None, None] * header["y_pitch"]
    x = np.arange(header["windows_x"])[:, None, None] * header["x_pitch"]
    run = np.arange(header["runs"])[:, None] * header["run_pitch"]
    taps = (y + x + run + np.arange(header["run_bytes"])).reshape(header["windows_y"] * header["windows_x"], -1)
    words = -(-taps.shape[1] // rows)
    out = np.zeros((len(ifmaps), len(taps), words * rows), np.int8)
    out[:, :, : taps.shape[1]] = data[:, taps]
    return out.reshape(len(ifmaps), -1, rows)


def batched(values: np.ndarray, batch: int) -> np.ndarray:
    """[n, ...] as [inferences, batch, ...]; the last inference is filled up with the last value."""
    values = np.concatenate([values, values[-1:].repeat(-len(values) % batch, axis=0)])
    return values.reshape(-1, batch, *values.shape[1:])


def pixel_order(fields: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Address offset, input row and input column of every pixel of a k-block, in the order of issue."""
    out_h, out_w, size = fields["out_h"], fields["out_w"], fields["pool_h"]
    index = np.indices((out_h, out_w, size, fields["pool_w"])).reshape(4, -1)
    y = fields["y0"] + index[0] * fields["window_stride"] + index[2] * fields["stride"]
    x = fields["x0"] + index[1] * fields["window_stride"] + index[3] * fields["stride"]
    steps = np.full(pixels_of(fields), fields["step_x"], np.int64)
    number = np.arange(1, pixels_of(fields) + 1)
    window = fields["pool_w"] * fields["pool_h"]
    steps[number % fields["pool_w"] == 0] = fields["step_y"]
    steps[number % window == 0] = fields["step_window"]
    steps[number % (window * out_w) == 0] = fields["step_row"]
    return np.concatenate(([0], np.cumsum(steps[:-1]))), y, x


def gather_words(memory: np.ndarray, fields: dict[str, int], source: int, rows: int) -> np.ndarray:
    """What the window feeder reads: int8 [n, pixels, kblocks * rows]."""
    offsets, y, x = pixel_order(fields)
    blocks, step = [], source
    for ky in range(fields["kernel_h"]):
        for kx in range(fields["kernel_w"]):
            inside = (y + ky >= 0) & (y + ky < fields["in_h"]) & (x + kx >= 0) & (x + kx < fields["in_w"])
            for block in range(fields["cblocks"]):
                values = memory[:, (step + offsets) % (1 << 16) % memory.shape[1]]
                values = np.where(inside[:, None], values, np.int8(fields["pad_value"]))
                if block == fields["cblocks"] - 1:
                    values[:, :, fields["rows_last"] :] = 0
                blocks.append(values)
                step += 1
            step += fields["column_step"] - 1
        step += fields["kernel_step"] - fields["column_step"]
    return np.concatenate(blocks, axis=2)


def diagonal_weights(fields: dict[str, int], rows: int, cols: int):
    """What a diagonal layer has in place of parameters, as parameters.decode_groups gives them."""
    groups, kblocks = fields["groups"], fields["kblocks"]
    weights = np.zeros((groups, kblocks, rows, cols), np.int8)
    for block in range(kblocks):
        value = fields["diagonal_a"] if block < fields["cblocks"] else fields["diagonal_b"]
        first = block % fields["cblocks"] * rows
        weights[:, block, np.arange(rows), first + np.arange(rows)] = value
    shape = (groups, cols)
    return (
        weights,
        np.full(shape, fields["bias"]),
        np.full(shape, fields["multiplier"]),
        np.full(shape, fields["shift_1"] + 1),
        0,
    )


def run(loadable: Loadable, key: bytes, ifmaps: np.ndarray, config) -> np.ndarray:
    """The ofmaps, int8 [n, height, width, channels], that the accelerator gives with `key` for int8 ifmaps [n, h, w, c]."""
    stream = np.frombuffer(loadable.unlocked(key).parameters, np.uint8)
    rows, cols = config.rows, config.cols
    batches = batched(unfold_ifmaps(loadable, ifmaps), loadable.batch)
    count = len(batches)
    memory = np.zeros((count, config.activation_words, rows), np.int8)
    arriving = iter(batches.swapaxes(0, 1))
    results = []
    for fields in loadable.program:
        if fields["wait_input"]:
            words = next(arriving)
            at = loadable.header["destination"]
            memory[:, at : at + words.shape[1]] = words
        if fields["diagonal"]:
            weights, bias, multiplier, shift, taken = diagonal_weights(fields, rows, cols)
        else:
            weights, bias, multiplier, shift, taken = decode_groups(fields, stream, config)
        stream = stream[taken:]
        outputs = []
        for group in range(fields["groups"]):
            columns = fields["last_columns"] if group == fields["groups"] - 1 else cols
            source = fields["source"] + group * fields["group_step"]
            window = gather_words(memory, fields, source, rows)
            sums = accumulate(window, weights[group].reshape(-1, cols)[:, :columns])
            values = requantise(
                sums, bias[group, :columns], multiplier[group, :columns], shift[group, :columns],
                fields["zero_point"], fields["lo"], fields["hi"], 24 if fields["narrow"] else 32,
            )  # fmt: skip
            outputs.append(values.reshape(count, -1, fields["pool_w"] * fields["pool_h"], columns).max(axis=2))
        result = np.concatenate(outputs, axis=2)
        if fields["to_stream"]:
            results.append(result)
            continue
        padded = np.zeros((*result.shape[:2], fields["pixel_words"] * rows), np.int8)
        padded[:, :, : result.shape[2]] = result
        words = padded.reshape(count, -1, rows)
        at = fields["destination"]
        memory[:, at : at + words.shape[1]] = words
    return np.concatenate(results, axis=1).reshape(-1, *loadable.interface.output_shape)[: len(ifmaps)]
