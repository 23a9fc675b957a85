"""Places tensors in the activation memory."""

from deeplock.pymodel.compiler.step import Step
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.tensor import Shape

__all__ = [
    "SECOND_INPUT",
    "NoRoomError",
    "Placement",
    "allocate",
    "bytes_of",
    "pixel_bytes",
    "read_shape",
    "written_shape",
]

Placement = dict[str, int]
"""First byte of every tensor."""

SECOND_INPUT = "input of every second ifmap"
"""A tensor beside the network's, which no step reads by this name."""


class NoRoomError(DeeplockError):
    """The output of step `index` has no place."""

    def __init__(self, text: str, index: int):
        super().__init__(text)
        self.index = index


def pixel_bytes(channels: int, config: Config) -> int:
    """Bytes from one pixel of a tensor to the next."""
    return channels if config.dense else -(-channels // config.rows) * config.rows


def read_shape(step: Step) -> Shape:
    """Shape of each tensor that a step reads channels of."""
    return *step.shape[:2], step.reads.pixel(step.shape[2])


def written_shape(step: Step) -> Shape:
    """Shape of the tensor, or of the band of it that memory holds, that a step writes channels of."""
    height, width, channels = step.out
    return len(step.held.get(step.output, range(height))), width, step.writes.pixel(channels)


def bytes_of(shape: Shape, config: Config) -> int:
    """Bytes of a tensor."""
    return shape[0] * shape[1] * pixel_bytes(shape[2], config)


def _words_of(shape: Shape, config: Config) -> int:
    return -(-bytes_of(shape, config) // config.rows)


def _first_gap(taken: list[tuple[int, int]], size: int, low: int, high: int) -> int | None:
    """Lowest place for `size` words in low..high that overlaps no taken range."""
    at = low
    for begin, end in sorted(taken):
        if at + size <= begin:
            break
        at = max(at, end)
    return at if at + size <= high else None


def allocate(
    steps: list[Step], config: Config, gathered: str | None = None, alternate: bool = False
) -> tuple[Placement, bool]:
    """Place the ifmap's words and every step's output, except those that no step reads, which leave on the stream.

    If possible, a step writes to a bank that it does not read, for memories with one port a bank. A place is free again
    after the last step that reads it. A batch fills tensor `gathered` ifmap by ifmap for the steps that it shares, so that
    it has room for all of them from the start. The ifmap gets words of its own at the end of bank 0 if they fit. Then the
    second value is True: the next ifmap may arrive while this inference goes on. With `alternate` SECOND_INPUT has as many
    behind them, if these fit too: the next ifmap may arrive while this one is read.

    Raises:
        DeeplockError: a tensor does not fit; the line names the layer. NoRoomError, if it is not the ifmap.
    """
    last_use = {name: index for index, step in enumerate(steps) for name in step.inputs}
    for inputs in (2, 1, 0) if alternate else (1, 0):
        try:
            return _place(steps, config, last_use, gathered, inputs), inputs > 0
        except DeeplockError:
            if inputs == 0:
                raise
    raise AssertionError


def _place(steps: list[Step], config: Config, last_use: dict[str, int], gathered: str | None, inputs: int) -> Placement:
    """With `inputs` places for ifmaps that nothing else uses."""
    half = config.activation_words // 2
    banks = ((0, half), (half, 2 * half))
    sizes = {"input": _words_of(read_shape(steps[0]), config)}
    for step in steps:
        sizes[step.output] = max(sizes.get(step.output, 0), _words_of(written_shape(step), config))
    sizes[SECOND_INPUT] = sizes["input"]
    if (most := max(1, inputs) * sizes["input"]) > half:
        raise DeeplockError(f"the ifmap takes {most} activation words, a bank has {half}")
    places = {"input": half - most}
    if inputs == 2:
        places[SECOND_INPUT] = half - sizes["input"]
    kept = list(places) if inputs else []
    live = list(places)

    def put(index: int, beside: set[int]) -> None:
        """Place a step's output, if possible in a bank that is not in `beside`."""
        step = steps[index]
        taken = [(places[name], places[name] + sizes[name]) for name in live]
        size = sizes[step.output]
        for bank in sorted((0, 1), key=lambda bank: bank in beside):
            place = _first_gap([gap for gap in taken if gap[0] // half == bank], size, *banks[bank])
            if place is not None:
                break
        else:
            text = f"layer {step.name}: its output takes {size} activation words, a bank has {half}"
            raise NoRoomError(text if size > half else f"{text}, and other tensors are there", index)
        places[step.output] = place
        live.append(step.output)

    if gathered is not None:
        index = next(index for index, step in enumerate(steps) if step.output == gathered)
        sizes[gathered] = max(_words_of(read_shape(step), config) for step in steps if gathered in step.inputs)
        put(index, {index % 2})  # the bank that its writer reads if banks take turns
    for index, step in enumerate(steps):
        live = [name for name in live if name in kept or last_use[name] >= index]
        if step.output in last_use and step.output not in places:
            put(index, {places[name] // half for name in step.inputs})
    return {name: word * config.rows for name, word in places.items()}
