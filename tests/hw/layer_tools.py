"""Networks, layers and descriptors for tests of components, and the conversions that several of them need."""

from collections.abc import Iterable

import numpy as np

from deeplock.pymodel.compiler.parameters import fold_of
from deeplock.pymodel.network.lowering import Streamed
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Quantisation

__all__ = [
    "ProgramMemory",
    "chain",
    "conv",
    "dense",
    "descriptor",
    "layer_of",
    "random_chain",
    "to_word",
    "to_words",
]


def to_word(values: Iterable[int]) -> int:
    """int8 or uint8 values as one word, the first in the lowest bits."""
    return int.from_bytes(np.asarray(values).astype(np.uint8).tobytes(), "little")


def to_words(values: np.ndarray) -> list[int]:
    """int8 [..., rows] as a flat list of words."""
    return [to_word(word) for word in values.reshape(-1, values.shape[-1])]


def conv(rng, shape, out: int, kernel=(3, 3), stride: int = 1, padding=(0, 0, 0, 0)) -> Conv:
    """A convolution with random parameters of an input of `shape`; name and source are set by `chain`."""
    return Conv(
        "",
        "",
        weight=rng.integers(-128, 128, (out, *kernel, shape[2]), dtype=np.int8),
        bias=rng.integers(-(1 << 16), 1 << 16, out, dtype=np.int32),
        multiplier=rng.integers(1 << 15, 1 << 16, out),
        shift=rng.integers(18, 28, out),
        stride=(stride, stride),
        padding=padding,
        input_zero_point=int(rng.integers(-128, 128)),
        zero_point=int(rng.integers(-128, 128)),
        lo=-128,
        hi=127,
    )


def dense(rng, shape, out: int) -> Conv:
    return conv(rng, shape, out, shape[:2])


def pool(kernel: int, stride: int) -> MaxPool:
    return MaxPool("", "", (kernel, kernel), (stride, stride))


def chain(rng, shape, *makers) -> Network:
    """A network of layers in a row; each maker, e.g. `(conv, 5, (3, 3), 2)` or `(3, 2)` for a pooling, makes one."""
    layers, source, inside = [], "input", shape
    for number, maker in enumerate(makers):
        layer = maker[0](rng, inside, *maker[1:]) if callable(maker[0]) else pool(*maker)
        layer = type(layer)(**{**vars(layer), "name": f"layer{number}", "source": source})
        source, inside = layer.name, layer.output_shape(inside)
        layers.append(layer)
    return Network("random", shape, Quantisation(1.0, 0), Quantisation(1.0, 0), tuple(layers))


def random_chain(rng, config: Config, count: int) -> Network:
    """`count` random layers on a random ifmap, small enough for 64 accumulators and 512 words a bank."""
    shape = tuple(int(size) for size in (*rng.integers(3, 8, 2), rng.integers(1, 2 * config.rows)))
    makers, inside = [], shape
    for number in range(count):
        smallest = min(inside[:2])
        if number and smallest >= 2 and rng.random() < 0.4:
            kernel = int(rng.integers(2, min(smallest, 3) + 1))
            maker = (kernel, int(rng.integers(1, kernel + 2)))
            layer = pool(*maker)
        else:
            padding = tuple(int(size) for size in rng.integers(0, 2, 4))
            kernel = tuple(int(rng.integers(1, min(size, 3) + 1)) for size in inside[:2])
            maker = (conv, int(rng.integers(1, 2 * config.cols + 2)), kernel, int(rng.integers(1, 3)), padding)
            layer = conv(rng, inside, *maker[1:])
        makers.append(maker)
        inside = layer.output_shape(inside)
    return chain(rng, shape, *makers)


def descriptor(**fields: int) -> Descriptor:
    """A descriptor of the smallest layer there is, with some fields set."""
    every = dict.fromkeys((name for name in Descriptor.layout.fields if name != "opcode"), 0)
    every |= dict.fromkeys(("kblocks", "groups", "cblocks", "rows_last", "kernel_w", "kernel_h", "column_step"), 1)
    every |= dict.fromkeys(("pool_w", "pool_h", "stride", "out_w", "out_h", "in_h", "row_bytes"), 1)
    every |= dict.fromkeys(("window_stride", "window_step", "pixel_bytes", "last_columns"), 1)
    every |= {"hi": 127, "lo": -128}
    return Descriptor(**every | fields)


def layer_of(rng, config: Config, out: int, positions: int, channels: int, bits: int = 32):
    """A layer's extreme parameters as pymodel.compiler.parameters takes them, and its descriptor."""
    weight = rng.integers(-128, 128, (out, positions, channels), dtype=np.int8)
    entries = Entries(
        bias=rng.integers(-(1 << bits - 1), 1 << bits - 1, out).astype(np.int32),
        multiplier=rng.integers(1 << 15, 1 << 16, out),
        shift=rng.integers(1, 65, out),
    )
    cblocks, groups = -(-channels // config.rows), -(-out // config.cols)
    fields = descriptor(
        kblocks=positions * cblocks,
        kernel_w=positions,
        groups=groups,
        fold=fold_of(out - (groups - 1) * config.cols, config.cols) if config.folding else 0,
        cblocks=cblocks,
        rows_last=channels - (cblocks - 1) * config.rows,
        narrow=int(bits == 24),
    )
    return Streamed(weight, entries), fields


class ProgramMemory:
    """The program memory's answer to one read port, as a testbench for the background."""

    def __init__(self, dut, data: bytes):
        self.dut, self.words = dut, np.frombuffer(data, "<u4").tolist()

    async def serve(self, ctx) -> None:
        async for *_, address in ctx.tick().sample(self.dut.program.addr):
            ctx.set(self.dut.program.data, self.words[address] if address < len(self.words) else 0xFFFF_FFFF)
