"""The compiler: quantised network -> layer descriptors and parameter stream for one accelerator geometry.

Two banks of activation memory take turns: a layer reads one and writes the other. The ifmap, whose kernel windows the
hardware unfolds on the way in where that saves work, has words of its own if they fit, so that the next one can arrive
early. A layer with more pixels than the accumulator memory holds becomes several descriptors, each with the weights again.
"""

from dataclasses import dataclass, replace

import numpy as np

from pymodel.config import Config
from pymodel.errors import DeeplockError
from pymodel.image import Image, Interface
from pymodel.network import Conv, Layer, MaxPool, Network, Shape, lower_bound, output_shapes
from pymodel.parameters import encode_groups, fold_of
from pymodel.program import MAGIC, OPCODE, VERSION, WORDS, pixels_of

__all__ = ["compile_network"]

MODULUS = 1 << 16


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the hardware runs it: a convolution with the pooling after it, or a pooling alone (conv is None).

    shape   of what the layer reads (height, width, channels), out of what it writes
    weight  int8 [out, kernel positions, channels]
    """

    name: str
    conv: Conv | None
    weight: np.ndarray | None
    kernel: tuple[int, int]
    padding: tuple[int, int]
    stride: int
    pool: MaxPool | None
    shape: Shape
    out: Shape

    @property
    def window(self) -> tuple[int, int]:
        """Size and stride of the pooling window in pixels."""
        return (self.pool.kernel, self.pool.stride) if self.pool else (1, 1)


def _words(shape: Shape, rows: int) -> int:
    return shape[0] * shape[1] * -(-shape[2] // rows)


def _conv_step(conv: Conv, pool: MaxPool | None, shape: Shape, out: Shape) -> Step:
    channels, height, width, depth = conv.weight.shape
    weight = conv.weight.reshape(channels, height * width, depth)
    return Step(conv.name, conv, weight, (height, width), conv.padding[:2], conv.stride, pool, shape, out)


def _steps(network: Network, config: Config) -> list[Step]:
    """Fuse each convolution with the pooling that alone reads it, where windows don't overlap and a row of them fits."""
    shapes = output_shapes(network)
    steps: list[Step] = []
    previous = "input"
    pending: list[Layer] = list(network.layers)
    while pending:
        layer = pending.pop(0)
        if layer.source != previous:
            raise DeeplockError(f"layer {layer.name} reads {layer.source}: only chains of layers are supported")
        shape, pool = shapes[layer.source], None
        if isinstance(layer, Conv):
            follower = pending[0] if pending else None
            if isinstance(follower, MaxPool) and follower.stride >= follower.kernel and follower.source == layer.name:
                if shapes[follower.name][1] * follower.kernel**2 <= config.accumulators:
                    pool = follower
                    pending.pop(0)
            previous = pool.name if pool else layer.name
            steps.append(_conv_step(layer, pool, shape, shapes[previous]))
        else:
            previous = layer.name
            steps.append(Step(layer.name, None, None, (1, 1), (0, 0), 1, layer, shape, shapes[layer.name]))
    if not steps:
        raise DeeplockError(f"network {network.name} has no layers")
    if not any(step.conv for step in steps):
        raise DeeplockError(f"network {network.name} has no parameters: there is nothing to lock")
    return steps


@dataclass(frozen=True)
class Unfold:
    """How the ifmap becomes activation words: see program.HEADER."""

    run_bytes: int
    runs: int
    run_pitch: int
    x_pitch: int
    y_pitch: int
    windows_x: int
    windows_y: int
    ifmap_bytes: int
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0

    def words(self, rows: int) -> int:
        return self.windows_x * self.windows_y * -(-self.run_bytes * self.runs // rows)


def _copy_ifmap(shape: Shape) -> Unfold:
    height, width, channels = shape
    return Unfold(channels, 1, 0, channels, width * channels, width, height, height * width * channels)


def _plan_input(step: Step, config: Config) -> tuple[Step, Unfold]:
    """Unfold the first layer's windows if that makes fewer tiles and fits; else copy the ifmap as it is."""
    copy = _copy_ifmap(step.shape)
    if step.conv is None:
        return step, copy
    assert step.weight is not None
    rows = config.rows
    (height, width), depth = step.kernel, step.shape[2]
    top, left, bottom, right = step.conv.padding
    full_height, full_width = step.shape[0] + top + bottom, step.shape[1] + left + right
    out_height, out_width = (full_height - height) // step.stride + 1, (full_width - width) // step.stride + 1
    pitch = full_width * depth
    unfold = Unfold(
        width * depth, height, pitch, step.stride * depth, step.stride * pitch, out_width, out_height,
        full_height * pitch, step.conv.padding, step.conv.input_zero_point,
    )  # fmt: skip
    taps = height * width * depth
    fewer = -(-taps // rows) < height * width * -(-depth // rows)
    fits = unfold.ifmap_bytes <= config.ifmap_bytes and unfold.words(rows) <= config.activation_words // 2
    if not (fewer and fits):
        return step, copy
    flat = step.weight.reshape(len(step.weight), 1, taps)
    unfolded = replace(step, weight=flat, kernel=(1, 1), padding=(0, 0), stride=1, shape=(out_height, out_width, taps))
    return unfolded, unfold


def _accumulator_bits(conv: Conv) -> int:
    """24 if no ifmap can take accumulator + bias beyond 24 bits, else 32; DeeplockError if 32 are too few."""
    weight = conv.weight.astype(np.int64).reshape(len(conv.weight), -1)
    bound = int((128 * np.abs(weight).sum(axis=1) + np.abs(conv.bias.astype(np.int64))).max())
    if bound >= 1 << 31:
        raise DeeplockError(f"layer {conv.name}: an accumulator can reach {bound}, which int32 cannot hold")
    return 24 if bound < 1 << 23 else 32


def _descriptor(step: Step, config: Config, source: int, destination: int, first: int, count: int) -> dict[str, int]:
    """The descriptor for `count` rows of (pooled) output from row `first` on."""
    rows, cols = config.rows, config.cols
    height, width, depth = step.shape
    _, out_w, channels = step.out
    cblocks = -(-depth // rows)
    window, pool_stride = step.window
    step_x = step.stride * cblocks
    step_y = step.stride * width * cblocks
    corner = (window - 1) * (step_x + step_y)
    y0, x0 = first * pool_stride * step.stride - step.padding[0], -step.padding[1]
    groups = -(-channels // cols)
    last_columns = channels - (groups - 1) * cols
    conv = step.conv
    diagonal = conv is None
    kblocks = cols // rows if diagonal else step.kernel[0] * step.kernel[1] * cblocks
    return {
        "kblocks": kblocks,
        "groups": groups,
        "fold": 0 if diagonal else fold_of(last_columns, cols),
        "opcode": OPCODE,
        "cblocks": kblocks if diagonal else cblocks,
        "rows_last": rows if diagonal else depth - (cblocks - 1) * rows,
        "diagonal": int(diagonal),
        "diagonal_a": int(diagonal),
        "diagonal_b": int(diagonal),
        "multiplier": 1 << 15,
        "bias": 0,
        "shift_1": 14,
        "source": (source + (y0 * width + x0) * cblocks) % MODULUS,
        "kernel_step": (width * cblocks - step.kernel[1] * cblocks + 1) % MODULUS,
        "kernel_w": step.kernel[1],
        "kernel_h": step.kernel[0],
        "pool_w": window,
        "pool_h": window,
        "stride": step.stride,
        "group_step": cols // rows if diagonal else 0,
        "out_w": out_w,
        "out_h": count,
        "pad_value": conv.input_zero_point if conv else 0,
        "in_w": width,
        "in_h": height,
        "window_stride": pool_stride * step.stride,
        "x0": x0,
        "y0": y0,
        "step_x": step_x % MODULUS,
        "step_y": (step_y - (window - 1) * step_x) % MODULUS,
        "step_window": (pool_stride * step_x - corner) % MODULUS,
        "step_row": (pool_stride * (step_y - (out_w - 1) * step_x) - corner) % MODULUS,
        "wait_input": 0,
        "release_input": 0,
        "destination": (destination + first * out_w * -(-channels // rows)) % MODULUS,
        "pixel_words": -(-channels // rows),
        "zero_point": conv.zero_point if conv else 0,
        "lo": conv.lo if conv else -128,
        "hi": conv.hi if conv else 127,
        "last_columns": last_columns,
        "narrow": int(conv is not None and conv.accumulator_bits == 24),
        "to_stream": 0,
    }


def _split(step: Step, config: Config) -> list[tuple[int, int]]:
    """Rows of (pooled) output per descriptor, as (first, count), so that each fits the accumulator memory."""
    out_h, out_w, _ = step.out
    per_row = out_w * step.window[0] ** 2
    rows = config.accumulators // per_row
    if rows == 0:
        raise DeeplockError(
            f"layer {step.name}: one row of output takes {per_row} accumulators, the accelerator has {config.accumulators}"
        )
    return [(first, min(rows, out_h - first)) for first in range(0, out_h, rows)]


def compile_network(network: Network, config: Config, rng: np.random.Generator | None = None) -> Image:
    """Compile for an accelerator; the image is plain (suite "plain"), `Image.locked` locks it.

    rng fills the bytes that the network leaves open; None takes entropy from the operating system.

    Raises:
        DeeplockError: the network does not fit the accelerator or the program format; the line names layer and limit.
    """
    rng = rng or np.random.default_rng()
    rows, half = config.rows, config.activation_words // 2
    steps = _steps(network, config)
    steps[0], unfold = _plan_input(steps[0], config)
    if unfold.ifmap_bytes > config.ifmap_bytes:
        raise DeeplockError(f"ifmap takes {unfold.ifmap_bytes} bytes, the ifmap buffer has {config.ifmap_bytes}")
    banks = [[_words(step.shape, rows) for step in steps[bank::2]] for bank in (0, 1)]
    inputs, others = banks[0][0], max(banks[0][1:], default=0)
    for step in steps:
        if _words(step.shape, rows) > half:
            raise DeeplockError(
                f"layer {step.name}: its input takes {_words(step.shape, rows)} activation words, a bank has {half}"
            )
    ahead = inputs + others <= half
    base = half - inputs if ahead else 0

    program: list[dict[str, int]] = []
    parameters: list[np.ndarray] = []
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        source = base if index == 0 else (index % 2) * half
        destination = 0 if last else ((index + 1) % 2) * half
        layer = None
        if step.conv is not None:
            layer = replace(step.conv, weight=step.weight, accumulator_bits=_accumulator_bits(step.conv))
            step = replace(step, conv=layer)
        strips = _split(step, config)
        for first, count in strips:
            fields = _descriptor(step, config, source, destination, first, count)
            fields["to_stream"] = int(last)
            fields["wait_input"] = int(index == 0 and first == 0)
            fields["release_input"] = int(ahead and index == 0 and (first, count) == strips[-1])
            program.append(fields)
            if layer is not None:
                parameters.append(encode_groups(layer, fields, config, rng))
    if not ahead:
        program[-1]["release_input"] = 1
    if WORDS * len(program) > config.program_words:
        raise DeeplockError(
            f"network {network.name} takes {len(program)} descriptors, program_words {config.program_words} "
            f"holds {config.program_words // WORDS}"
        )
    stream = np.concatenate(parameters).tobytes()
    header = {
        "magic": MAGIC,
        "rows": rows,
        "cols": config.cols,
        "bytes_per_beat": config.bytes_per_beat,
        "suite": 0,
        "version": VERSION,
        "layers": len(program),
        "parameter_beats": len(stream) // config.bytes_per_beat,
        "activation_words": config.activation_words,
        "accumulators": max(pixels_of(fields) for fields in program),
        "ifmap_beats": -(-unfold.ifmap_bytes // rows),
        "run_bytes": unfold.run_bytes,
        "runs": unfold.runs,
        "run_pitch": unfold.run_pitch,
        "x_pitch": unfold.x_pitch,
        "y_pitch": unfold.y_pitch,
        "windows_x": unfold.windows_x,
        "windows_y": unfold.windows_y,
        "destination": base,
    }
    shapes = output_shapes(network)
    interface = Interface(
        network.name,
        network.dataset,
        network.classes,
        network.input_shape,
        shapes[network.layers[-1].name],
        network.input,
        network.output,
        unfold.padding,
        unfold.pad_value,
        lower_bound(network, rows, config.cols, config.bytes_per_beat),
    )
    return Image(header, tuple(program), stream, interface)
