"""The compiler: quantised network -> layer descriptors and parameter stream for one accelerator geometry.

A layer with more pixels than the accumulator memory holds becomes several descriptors; the stream repeats its weights for
each. In a batch, the dense layers at the end run once for all ifmaps. The layers before them run once for each ifmap, and
the stream repeats their weights too.
"""

from dataclasses import replace
from math import prod

import numpy as np

from deeplock.pymodel.compiler.allocate import SECOND_INPUT, Placement, allocate, bytes_of, pixel_bytes, read_shape
from deeplock.pymodel.compiler.bands import in_bands
from deeplock.pymodel.compiler.first_layer import plan_input
from deeplock.pymodel.compiler.overlap import slack
from deeplock.pymodel.compiler.parameters import encode_layer, fold_of
from deeplock.pymodel.compiler.schedule import plan_steps, share
from deeplock.pymodel.compiler.step import Step, runs_of, strips_of, words_of
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Channelwise, Lowered, Product, Streamed
from deeplock.pymodel.network.network import Network, lower_bound, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor, Opcode
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.layers import LayerFacts
from deeplock.pymodel.spec.loadable import Interface, Loadable
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.rules import MOST_LAYERS, broken_program, ofmap_beats, parameter_bytes

__all__ = ["compile_network", "outline"]


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
    for what, view in (("input", step.reads), ("output", step.writes)):
        if view.first % config.rows and not config.dense:
            raise DeeplockError(
                f"layer {step.name}: the accelerator leaves out dense, and its {what} is {view.depth} channels' from channel "
                f"{view.first} on, which must be a multiple of {config.rows}"
            )
    if step.lowered.table and not config.tables:
        raise DeeplockError(f"layer {step.output}: the accelerator leaves out tables, and has no operator table")
    if isinstance(step.lowered.weights, Product) and not config.products:
        raise DeeplockError(
            f"layer {step.name}: the accelerator leaves out products, the option that operator {step.kind} needs"
        )
    if config.diagonal or step.lowered.mixes:
        return
    if step.lowered.only_pools and step.lowered != Lowered():
        raise DeeplockError(
            f"layer {step.name}: the accelerator leaves out diagonal, and pools only right behind a convolution that nothing "
            "else reads; windows must not overlap, and a row of them must fit its accumulators"
        )
    raise DeeplockError(f"layer {step.name}: the accelerator leaves out diagonal, and has no operator {step.kind}")


def _weights(step: Step, config: Config) -> dict[str, int]:
    """The descriptor's fields for the weight loader."""
    rows, cols, weights = config.rows, config.cols, step.lowered.weights
    tall, wide, run = runs_of(step, config)
    groups = -(-step.out[2] // cols)
    cblocks = -(-run // rows)
    fields = {
        "groups": groups,
        "last_columns": step.out[2] - (groups - 1) * cols,
        "kblocks": words_of(step, config),
        "kernel_h": tall,
        "kernel_w": wide,
        "cblocks": cblocks,
        "rows_last": run - (cblocks - 1) * rows,
    }
    if isinstance(weights, Channelwise):
        return fields | {"diagonal": 1, "streamed": 1}
    if isinstance(weights, Streamed):
        return fields | {"fold": fold_of(fields["last_columns"], cols) if config.folding else 0}
    alike = cblocks == 1 and weights.first == weights.others
    if alike:
        fields["kblocks"] = 1
    return fields | {
        "diagonal": 1,
        "alike": int(alike),
        "diagonal_a": weights.first,
        "diagonal_b": weights.others,
        "multiplier": weights.multiplier,
        "bias": weights.bias,
        "shift_1": weights.shift - 1,
    }


def _place(step: Step, name: str, places: Placement, row: int) -> int:
    """Where a tensor's row 0 is, of `row` bytes, or would be, if memory holds a band of the tensor."""
    return places.get(name, 0) - step.held.get(name, range(1)).start * row


def _addresses(step: Step, config: Config, places: dict[str, int], first: int) -> dict[str, int]:
    """The descriptor's fields that say which bytes the feeder reads, from row `first` of the output on."""
    does = step.lowered
    _, width, channels = step.shape
    tall, wide, run = runs_of(step, config)
    pixel = pixel_bytes(step.reads.pixel(channels), config)
    row = width * pixel
    to_last = (-(-run // config.rows) - 1) * config.rows  # from a run's first word to its last
    (window_h, window_w), (down, right) = does.window, does.window_stride
    stride = does.stride[0] // step.pitch  # rows
    step_x, step_y = does.stride[1] * pixel, stride * row
    corner = (window_h - 1) * step_y + (window_w - 1) * step_x
    y0, x0 = first * down * stride - does.padding[0], -does.padding[1] * pixel
    source, *other = (_place(step, name, places, row) + step.reads.first for name in step.inputs)
    kernel_row = other[0] - source if other else does.dilation[0] * step.row_step * row
    column = does.dilation[1] * pixel
    return {
        "y0": y0,
        "x0": x0,
        "row_bytes": row * (does.kernel[0] // tall),  # a run may hold all rows of a window
        "stride": stride,
        "window_stride": down * stride,
        "window_step": right * step_x,
        "source": (source + y0 * row + x0) % MODULUS,
        "column_step": column - to_last if wide > 1 else 0,
        "kernel_step": (kernel_row - (wide - 1) * column - to_last) % MODULUS,
        "step_x": step_x,
        "step_y": step_y - (window_w - 1) * step_x,
        "step_window": right * step_x - corner,
        "step_row": down * step_y - (step.windows - 1) * right * step_x - corner,
    }


def _descriptor(step: Step, config: Config, places: dict[str, int], first: int, count: int) -> Descriptor:
    """The descriptor for `count` rows of (pooled) output from row `first` on; wait_input and release_input are set later."""
    does = step.lowered
    window_h, window_w = does.window
    pixel = pixel_bytes(step.writes.pixel(step.out[2]), config)
    row = step.out[1] * pixel
    fields = {
        "pool_w": window_w,
        "pool_h": window_h,
        "out_w": step.windows,
        "out_h": count,
        "in_h": step.shape[0] + len(step.inputs) - 1,  # with two inputs, kernel row 1 reads the other
        "pad_value": does.pad_value,
        "destination": (_place(step, step.output, places, row) + step.writes.first + first * row) % MODULUS,
        "pixel_bytes": pixel,
        "zero_point": does.zero_point,
        "lo": does.lo,
        "hi": does.hi,
        "narrow": int(step.narrow),
        "to_stream": int(step.output not in places),
        "sliding": step.sliding,
        "opcode": Opcode.TABLE if does.table else Opcode.LAYER,
    }
    if isinstance(does.weights, Product):
        zero_a, zero_b = does.weights.zero_points
        fields |= {"opcode": Opcode.PRODUCT, "zero_a": zero_a, "zero_b": zero_b}
    try:
        return Descriptor(**_weights(step, config), **_addresses(step, config, places, first), **fields)
    except DeeplockError as error:
        raise DeeplockError(f"layer {step.name} is too large for the loadable format: {error}") from None


def _facts(step: Step, descriptor: Descriptor, again: int, config: Config) -> LayerFacts:
    """Of a step as `plan_steps` made it, which reads the network's tensors. again: rows that have been computed before"""
    rows, cols, beat = config.rows, config.cols, config.bytes_per_beat
    does, depth = step.lowered, step.shape[2]
    taps, channels = prod(does.kernel) * depth, step.out[2]
    pixels = descriptor.pixels // descriptor.out_h * (descriptor.out_h - again)
    lower, array = 0, -(-pixels * taps // rows)
    if isinstance(does.weights, Streamed):
        load = -(-does.weights.weight.size // beat)
        array = max(array, load)
        lower = array
    if does.mixes:
        lower = max(-(-pixels * taps * channels // (rows * cols)), load)
        array = max(pixels * -(-taps // rows) * -(-channels // cols), load)
    return LayerFacts(
        name=step.name,
        kind=step.kind,
        input=step.shape,
        output=(descriptor.out_h, descriptor.results_w, channels),
        kernel=does.kernel,
        stride=does.stride,
        pool=(descriptor.pool_h, step.sliding + 1 if step.sliding else descriptor.pool_w),
        parameter_bytes=descriptor.layer_bytes(rows, cols),
        words=descriptor.pixels * descriptor.kernel_h * descriptor.kernel_w * descriptor.cblocks * descriptor.groups,
        lower_bound=lower,
        array_bound=array,
        groups=step.groups,
        again=again,
    )


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
    loadable, streamed = _laid_out(network, config, rng, batch)
    parameters = [encode_layer(does, layer, config, rng) for does, layer in streamed]
    return replace(loadable, parameters=np.concatenate(parameters).tobytes())


def outline(network: Network, config: Config, batch: int = 1, whole: bool = False) -> Loadable:
    """What `compile_network` makes, without parameters: for its program and its sizes, in a fraction of the time.

    whole  refuse a network whose tensors do not fit whole, in place of running it in bands
    """
    return _laid_out(network, config, np.random.default_rng(0), batch, whole)[0]


def _laid_out(
    network: Network, config: Config, rng: np.random.Generator, batch: int, whole: bool = False
) -> tuple[Loadable, list[tuple[Lowered, Descriptor]]]:
    """The loadable without parameters, and the layers whose parameters these are, in the stream's order."""
    planned = plan_steps(network, config)
    steps, unfold = plan_input(planned, config, rng)
    for step in steps:
        _check_features(step, config)
    steps = [_checked(step, config) for step in steps]
    each, shared = share(steps, batch) if batch > 1 else (steps, [])
    if not 1 <= batch <= 255:
        raise DeeplockError(f"batch must be 1..255, not {batch}")
    if batch > 1 and network.outputs:
        raise DeeplockError(f"network {network.name} has several outputs: batch must be 1, not {batch}")
    if batch > 1 and not shared:
        raise DeeplockError(
            f"network {network.name}: a batch shares the weights of dense layers at the end, and this network has none "
            f"behind its first layer: batch must be 1, not {batch}"
        )
    gathered = [each[-1].output] if shared else []
    part = bytes_of(read_shape(shared[0]), config) // batch if shared else 0
    # the places take turns from one inference to the next, too, so their number divides the batch
    banded = each + shared if whole else in_bands(each + shared, config, *gathered, shared=len(shared))
    each = banded[: len(banded) - len(shared)]
    places, early = allocate(banded, config, *gathered, alternate=config.dense and batch % 2 == 0)
    inputs = places["input"], places.get(SECOND_INPUT, places["input"])

    program: list[Descriptor] = []
    facts: list[LayerFacts] = []
    streamed: list[tuple[Lowered, Descriptor]] = []

    def emit(steps: list[Step], places: Placement) -> int:
        """Returns the number of the last descriptor that reads the ifmap."""
        reader = 0
        for step in steps:
            for first, count in strips_of(step, config):
                program.append(_descriptor(step, config, places, first, count))
                again = 0 if step.rows is None else max(0, step.rows.start + step.again - first)
                seen = planned[0] if step.name == each[0].name and "input" in step.inputs else step
                facts.append(_facts(seen, program[-1], min(count, again), config))
                if isinstance(step.lowered.weights, Streamed) or step.lowered.table:
                    streamed.append((step.lowered, program[-1]))
            if "input" in step.inputs:
                reader = len(program) - 1
        return reader

    for index in range(batch):
        begin = len(program)
        moved = {name: places[name] + index * part for name in gathered} | {"input": inputs[index % 2]}
        reader = emit(each, places | moved)
        if index == batch - 1:
            emit(shared, places)
        program[begin] = replace(program[begin], wait_input=1)
        last = reader if early else -1
        program[last] = replace(program[last], release_input=1)
    program = [
        replace(layer, slack=slack(program[number - 1], layer, config)) if number else layer
        for number, layer in enumerate(program)
    ]
    if WORDS * len(program) > config.program_words:
        raise DeeplockError(
            f"network {network.name} takes {len(program)} descriptors, program_words {config.program_words} "
            f"holds {config.program_words // WORDS}"
        )
    if len(program) > MOST_LAYERS:
        raise DeeplockError(
            f"network {network.name} takes {len(program)} descriptors, an accelerator counts at most {MOST_LAYERS}"
        )
    try:
        header = Header(
            rows=config.rows,
            cols=config.cols,
            bytes_per_beat=config.bytes_per_beat,
            suite=0,
            layers=len(program),
            batch=batch,
            parameter_beats=parameter_bytes(program, config) // config.bytes_per_beat,
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
            destination=inputs[0] // config.rows,
            dense=int(config.dense),
            alternate=int(inputs[0] != inputs[1]),
            ofmap_beats=ofmap_beats(program),
        )
    except DeeplockError as error:
        raise DeeplockError(f"network {network.name} is too large for the loadable format: {error}") from None
    error, text = broken_program(header, program, config.with_suite("plain"))
    if error:
        raise DeeplockError(f"network {network.name} makes a program that no accelerator takes: {text}")
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
        layers=tuple(facts),
        pixels=network.pixels,
        outputs=network.outputs,
    )
    return Loadable(header, tuple(program), b"", interface), streamed
