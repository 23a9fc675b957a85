"""The compiler: quantised network -> layer descriptors and parameter stream for one accelerator geometry.

A layer with more pixels than the accumulator memory holds becomes several descriptors; the stream repeats its weights for
each. In a batch, the dense layers at the end run once for all ifmaps. The layers before them run once for each ifmap, and
the stream repeats their weights too.
"""

from dataclasses import replace

import numpy as np

from deeplock.pymodel.compiler.allocate import Placement, allocate, words_of
from deeplock.pymodel.compiler.parameters import encode_groups, fold_of
from deeplock.pymodel.compiler.schedule import Step, plan_input, plan_steps, share
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Streamed
from deeplock.pymodel.network.network import Network, lower_bound, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.loadable import Interface, Loadable
from deeplock.pymodel.spec.record import WORDS

__all__ = ["compile_network"]


def _checked(step: Step, config: Config) -> Step:
    """The step with `narrow` set; DeeplockError if its sums are too large."""
    reach, limit = step.lowered.reach, 1 << (config.sum_bits - 1)
    if reach >= limit:
        raise DeeplockError(
            f"layer {step.name}: an accumulator can reach {reach}, sum_bits {config.sum_bits} holds {limit - 1}"
        )
    return replace(step, narrow=reach < 1 << 23)


def _check_features(step: Step, config: Config) -> None:
    """Raise DeeplockError if the step needs a feature that the accelerator leaves out."""
    if any(step.lowered.padding) and not config.padding:
        raise DeeplockError(
            f"layer {step.name}: padding must be 0, not {step.lowered.padding}: the accelerator leaves out padding; only the "
            "ifmap of a first layer that it unfolds can be padded"
        )
    if config.diagonal or isinstance(step.lowered.weights, Streamed):
        return
    if step.lowered.only_pools:
        raise DeeplockError(
            f"layer {step.name}: the accelerator leaves out diagonal, and pools only right behind a convolution that nothing "
            "else reads; windows must not overlap, and a row of them must fit its accumulators"
        )
    raise DeeplockError(f"layer {step.name}: the accelerator leaves out diagonal, and has no operator {step.kind}")


def _weights(step: Step, config: Config) -> dict[str, int]:
    """The descriptor's fields for the weight loader."""
    rows, cols, weights = config.rows, config.cols, step.lowered.weights
    positions = step.lowered.kernel[0] * step.lowered.kernel[1]
    groups = -(-step.out[2] // cols)
    fields = {"groups": groups, "last_columns": step.out[2] - (groups - 1) * cols}
    if isinstance(weights, Streamed):
        depth = step.shape[2]
        cblocks = -(-depth // rows)
        return fields | {
            "kblocks": positions * cblocks,
            "fold": fold_of(fields["last_columns"], cols) if config.folding else 0,
            "cblocks": cblocks,
            "rows_last": depth - (cblocks - 1) * rows,
        }
    return fields | {
        "kblocks": positions * (cols // rows),
        "cblocks": cols // rows,
        "rows_last": rows,
        "diagonal": 1,
        "group_step": cols // rows,
        "diagonal_a": weights.first,
        "diagonal_b": weights.others,
        "multiplier": weights.multiplier,
        "bias": weights.bias,
        "shift_1": weights.shift - 1,
    }


def _addresses(step: Step, config: Config, places: dict[str, int], first: int) -> dict[str, int]:
    """The descriptor's fields that give the words for the feeder to read, from row `first` of the output on."""
    does = step.lowered
    _, width, depth = step.shape
    words = -(-depth // config.rows)  # of a pixel
    visited = (
        words if isinstance(does.weights, Streamed) else config.cols // config.rows
    )  # of these, for one column group
    window, pool_stride = does.window
    step_x, step_y = does.stride * words, does.stride * width * words
    corner = (window - 1) * (step_x + step_y)
    y0, x0 = first * pool_stride * does.stride - does.padding[0], -does.padding[1]
    source, *other = (places[name] for name in step.inputs)
    row = other[0] - source if other else width * words
    signed = {
        "source": source + (y0 * width + x0) * words,
        "column_step": words - visited + 1,
        "kernel_step": row - (does.kernel[1] - 1) * words - visited + 1,
        "step_x": step_x,
        "step_y": step_y - (window - 1) * step_x,
        "step_window": pool_stride * step_x - corner,
        "step_row": pool_stride * (step_y - (step.out[1] - 1) * step_x) - corner,
    }
    return {"x0": x0, "y0": y0} | {name: value % MODULUS for name, value in signed.items()}


def _descriptor(step: Step, config: Config, places: dict[str, int], first: int, count: int) -> Descriptor:
    """The descriptor for `count` rows of (pooled) output from row `first` on; wait_input and release_input are set later."""
    does = step.lowered
    window, pool_stride = does.window
    pixel_words = -(-step.out[2] // config.rows)
    fields = {
        "kernel_h": does.kernel[0],
        "kernel_w": does.kernel[1],
        "pool_w": window,
        "pool_h": window,
        "stride": does.stride,
        "window_stride": pool_stride * does.stride,
        "out_w": step.out[1],
        "out_h": count,
        "in_w": step.shape[1],
        "in_h": step.shape[0] + len(step.inputs) - 1,  # with two inputs, kernel row 1 reads the other
        "pad_value": does.pad_value,
        "destination": (places.get(step.output, 0) + first * step.out[1] * pixel_words) % MODULUS,
        "pixel_words": pixel_words,
        "zero_point": does.zero_point,
        "lo": does.lo,
        "hi": does.hi,
        "narrow": int(step.narrow),
        "to_stream": int(step.output not in places),
    }
    try:
        return Descriptor(**_weights(step, config), **_addresses(step, config, places, first), **fields)
    except DeeplockError as error:
        raise DeeplockError(f"layer {step.name} is too large for the loadable format: {error}") from None


def _strips(step: Step, config: Config) -> list[tuple[int, int]]:
    """Rows of (pooled) output per descriptor, as (first, count), so that each fits the accumulator memory."""
    out_h, out_w, _ = step.out
    per_row = out_w * step.lowered.window[0] ** 2
    rows = config.accumulators // per_row
    if rows == 0:
        raise DeeplockError(
            f"layer {step.name}: one row of output takes {per_row} accumulators, the accelerator has {config.accumulators}"
        )
    return [(first, min(rows, out_h - first)) for first in range(0, out_h, rows)]


def compile_network(
    network: Network, config: Config, rng: np.random.Generator | None = None, batch: int = 1
) -> Loadable:
    """Compile for an accelerator. The loadable is not locked (suite "plain"); `Loadable.locked` locks it.

    rng    fills the bytes that the network does not define; None takes entropy from the operating system
    batch  ifmaps that an inference takes, 1 to 255; the dense layers at the network's end share their weights among them

    Raises:
        DeeplockError: the network does not fit the accelerator or the loadable format; the line names layer and limit.
    """
    rng = rng or np.random.default_rng()
    steps, unfold = plan_input(plan_steps(network, config), config)
    for step in steps:
        _check_features(step, config)
    steps = [_checked(step, config) for step in steps]
    each, shared = share(steps, batch) if batch > 1 else (steps, [])
    if not 1 <= batch <= 255:
        raise DeeplockError(f"batch must be 1..255, not {batch}")
    if batch > 1 and not shared:
        raise DeeplockError(
            f"network {network.name}: a batch shares the weights of dense layers at the end, and this network has none "
            f"behind its first layer: batch must be 1, not {batch}"
        )
    gathered = [each[-1].output] if shared else []
    part = words_of(each[-1].out, config.rows)
    places, early = allocate(each + shared, config, *gathered)
    # the first step reads the ifmap; if later steps do too, its words are free only at the end
    early = early and not any("input" in step.inputs for step in steps[1:])

    program: list[Descriptor] = []
    parameters: list[np.ndarray] = []

    def emit(steps: list[Step], places: Placement) -> None:
        for step in steps:
            for first, count in _strips(step, config):
                program.append(_descriptor(step, config, places, first, count))
                if isinstance(step.lowered.weights, Streamed):
                    parameters.append(encode_groups(step.lowered.weights, program[-1], config, rng))

    for index in range(batch):
        begin = len(program)
        emit(each, places | {name: places[name] + index * part for name in gathered})
        if index == batch - 1:
            emit(shared, places)
        program[begin] = replace(program[begin], wait_input=1)
        last = begin + len(_strips(each[0], config)) - 1 if early else -1
        program[last] = replace(program[last], release_input=1)
    if WORDS * len(program) > config.program_words:
        raise DeeplockError(
            f"network {network.name} takes {len(program)} descriptors, program_words {config.program_words} "
            f"holds {config.program_words // WORDS}"
        )
    stream = np.concatenate(parameters).tobytes()
    try:
        header = Header(
            rows=config.rows,
            cols=config.cols,
            bytes_per_beat=config.bytes_per_beat,
            suite=0,
            layers=len(program),
            batch=batch,
            parameter_beats=len(stream) // config.bytes_per_beat,
            activation_words=config.activation_words,
            accumulators=max(descriptor.pixels for descriptor in program),
            ifmap_beats=-(-unfold.ifmap_bytes // config.rows),
            run_bytes=unfold.run_bytes,
            runs=unfold.runs,
            run_pitch=unfold.run_pitch,
            x_pitch=unfold.x_pitch,
            y_pitch=unfold.y_pitch,
            windows_x=unfold.windows_x,
            windows_y=unfold.windows_y,
            destination=places["input"],
        )
    except DeeplockError as error:
        raise DeeplockError(f"network {network.name} is too large for the loadable format: {error}") from None
    interface = Interface(
        network=network.name,
        dataset=network.dataset,
        classes=network.classes,
        input_shape=network.input_shape,
        output_shape=output_shapes(network)[network.layers[-1].name],
        input=network.input,
        output=network.output,
        ifmap_padding=unfold.padding,
        pad_value=unfold.pad_value,
        lower_bound=lower_bound(
            network, config.rows, config.cols, config.bytes_per_beat, [step.name for step in shared], batch
        ),
        pixels=network.pixels,
    )
    return Loadable(header, tuple(program), stream, interface)
